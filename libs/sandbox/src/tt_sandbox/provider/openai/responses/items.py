"""What a response says, as the vendor's items: reasoning, web searches, a message, calls of functions.

Each item comes with the tokens that a stream of it carries one by one.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from tt_sandbox.provider.answers import Answer
from tt_sandbox.provider.openai.responses.rules import encrypt

SEARCH = {"type": "search", "query": "sandbox", "queries": ["sandbox"]}


class Item(NamedTuple):
    """One output item as it ends, and its streamed tokens."""

    body: dict[str, Any]
    tokens: tuple[str, ...] = ()


class Wanted(NamedTuple):
    """How the request wants its reasoning shown."""

    summary: bool
    encrypted: bool


def build(seq: int, said: Answer, wanted: Wanted) -> Iterator[Item]:
    """All items of an answer in order."""
    mark = f"sandbox{seq:012d}"
    reasoned = said.counts.reasoning > 0
    if reasoned:
        shown = said.thinking if wanted.summary else ()
        summary = [{"type": "summary_text", "text": "".join(shown)}] if shown else []
        reasoning: dict[str, Any] = {"id": f"rs_{mark}", "type": "reasoning", "summary": summary}
        if wanted.encrypted:
            reasoning["encrypted_content"] = encrypt(f"rs_{mark}")
        yield Item(reasoning, shown)
    suffix = "r" if reasoned else "i"
    for number in range(said.counts.server_tool_calls):
        item = {"id": f"ws_{mark}{suffix}{number}", "type": "web_search_call", "status": "completed", "action": SEARCH}
        yield Item(item)
    if said.text or (not said.tools and said.finish != "prompt_blocked"):
        text = "".join(said.text)
        part: dict[str, Any] = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
        if said.finish == "refusal":
            part = {"type": "refusal", "refusal": text}
        status = "incomplete" if said.finish in ("length", "recitation") else "completed"
        message = {"id": f"msg_{mark}{suffix}0", "type": "message", "status": status, "role": "assistant"}
        yield Item({**message, "content": [part]}, said.text)
    for number, tool in enumerate(said.tools):
        call = {"id": f"fc_{mark}{suffix}{number}", "type": "function_call", "status": "completed"}
        called = {"call_id": f"call_{mark}{number}", "name": tool.name, "arguments": tool.text}
        yield Item({**call, **called}, tool.arguments)
