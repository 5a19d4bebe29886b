"""Whatever a provider or a client sends: nothing but refusals comes of it, and what is passed on stays what it was."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tt_common.errors import DomainError
from tt_edge.protocols.canonical.request import ChatRequest
from tt_edge.protocols.gemini.answer import parse_answer
from tt_edge.protocols.gemini.client import GeminiClient
from tt_edge.protocols.gemini.provider import GeminiProvider
from tt_edge.protocols.gemini.request import parse_count, parse_generate
from tt_edge.protocols.gemini.stream import ArrayTap, StreamTap
from tt_edge.protocols.port import Tap, Target
from tt_edge.protocols.translate import Refused

NAMES = (
    "candidates content parts text thought thoughtSignature functionCall functionResponse name args id response index "
    "finishReason promptFeedback blockReason usageMetadata promptTokenCount candidatesTokenCount totalTokenCount "
    "promptTokensDetails modality tokenCount modelVersion error status message groundingMetadata webSearchQueries "
    "contents role systemInstruction system_instruction generationConfig generation_config maxOutputTokens stopSequences "
    "thinkingConfig thinkingBudget tools functionDeclarations parameters toolConfig inlineData mimeType data fileData "
    "fileUri safetySettings threshold generateContentRequest model responseSchema responseMimeType"
).split()
VALUES = [
    "user",
    "model",
    "STOP",
    "SAFETY",
    "MALFORMED_FUNCTION_CALL",
    "AUDIO",
    "image/png",
    "AAAA",
    "application/json",
    "",
]
anything: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(VALUES)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=25,
)
said = st.lists(anything, max_size=3).map(lambda parts: {"candidates": [{"content": {"parts": parts}}]})
answers = st.dictionaries(st.sampled_from(NAMES), anything, max_size=4) | said
payloads = st.binary(max_size=40) | (answers | anything).map(lambda value: json.dumps(value).encode())
asked = st.dictionaries(st.sampled_from(NAMES), anything, max_size=5)
requests = st.tuples(st.lists(anything, min_size=1, max_size=3), asked).map(
    lambda told: {**told[1], "contents": told[0]}
)
ASKED = ChatRequest(stream=True, turns=())
TARGET = Target("/v1beta/models/asked:generateContent", b"", {})


@given(st.lists(payloads, max_size=6), st.booleans())
@settings(deadline=None)
def test_whatever_a_provider_streams_the_taps_survive(events: list[bytes], array: bool) -> None:
    tap: Tap = StreamTap("asked")
    if array:
        tap = ArrayTap(tap)
    out = b"".join(tap.feed(b"data: %b\r\n\r\n" % event) for event in events) + tap.end() + tap.tail("0.1")
    tap.recount()
    assert tap.usage is None or tap.usage.prompt_tokens >= 0
    assert out.endswith(b"]") if array else True


@given(payloads)
@settings(deadline=None)
def test_whatever_a_provider_answers_it_is_an_answer_or_none(body: bytes) -> None:
    answer = parse_answer(body)
    if answer is not None:
        answer.texts()
        answer.rendered("asked", "0.1")


@given(st.lists(payloads, max_size=6))
@settings(deadline=None)
def test_whatever_a_provider_says_the_other_side_of_a_translation_survives(bodies: list[bytes]) -> None:
    reader, client = GeminiProvider().reader(ASKED), GeminiClient()
    request = parse_generate(TARGET, b'{"contents":[{"parts":[{"text":"hi"}]}]}')
    writer = client.writer(request, "evt_1")
    for body in bodies:
        for event in reader.feed(b"data: %b\n\n" % body):
            writer.write(event)
        try:
            answer = GeminiProvider().answer(body, ASKED)
        except Refused:
            continue
        if answer is not None:
            client.whole(answer, request, "asked", "evt_1", "0.1")
    reader.end()
    json.loads(writer.finish({}, None, "", "0.1")[6:])


@given(requests)
@settings(deadline=None)
def test_whatever_a_client_sends_it_is_read_or_refused(body: Any) -> None:
    raw = json.dumps(body).encode()
    for parse in (parse_generate, parse_count):
        try:
            request = parse(TARGET, raw)
            GeminiClient().canonical(request)
        except DomainError as refused:
            assert refused.code == "invalid_request"
