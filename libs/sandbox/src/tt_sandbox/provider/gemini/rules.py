"""What Gemini refuses beyond single fields: turns, calls and their responses, thought signatures that didn't come back.

Facts: the vendor's documentation and error messages; where its exact words are unknown, the message only says what is wrong.
"""

import base64
import binascii
import hashlib

from tt_sandbox.provider.dialect import RequestRefused
from tt_sandbox.provider.gemini.forms import Content, GenerateForm, Part, Schema

# What the documentation gives to callers who have no signature to send back.
NO_SIGNATURE = (b"skip_thought_signature_validator", b"context_engineering_is_the_way_to_go")
# Models from this one on insist on signatures.
INSISTS_FROM = 3


def sign(name: str) -> str:
    """The signature of a function call, or of an answer that calls none (an empty name)."""
    return base64.b64encode(b"sandbox" + hashlib.sha384(name.encode()).digest()).decode()


def check(form: GenerateForm, model: str) -> None:
    """Raises RequestRefused."""
    if not form.contents:
        raise RequestRefused("* GenerateContentRequest.contents: contents is not specified")
    for index, turn in enumerate(form.contents):
        _check_turn(index, turn)
    _check_calls(form.contents)
    if insists(model):
        _check_signatures(form.contents)
    _check_tools(form)
    _check_output(form)


def insists(model: str) -> bool:
    """Whether the model refuses function calls that come back without their signature."""
    version = model.removeprefix("gemini-")[:1]
    return model.startswith("gemini-") and version.isdigit() and int(version) >= INSISTS_FROM


def _check_turn(index: int, turn: Content) -> None:
    if turn.role not in (None, "user", "model"):
        raise RequestRefused("Please use a valid role: user, model.")
    if not turn.parts:
        raise RequestRefused(f"* GenerateContentRequest.contents[{index}].parts: contents.parts must not be empty.")
    for position, part in enumerate(turn.parts):
        if len(part.data()) != 1:
            raise RequestRefused(
                f"* GenerateContentRequest.contents[{index}].parts[{position}].data: "
                "required oneof field 'data' must have one initialized field"
            )


def _check_calls(contents: list[Content]) -> None:
    """Calls follow a user's turn or responses; the next turn answers all of them, in any order, by name and id."""
    waiting: list[Part] = []
    for index, turn in enumerate(contents):
        calls = [part for part in turn.parts if part.function_call is not None]
        responses = [part.function_response for part in turn.parts if part.function_response is not None]
        if calls and (turn.role != "model" or index == 0 or contents[index - 1].role == "model"):
            raise RequestRefused(
                "Please ensure that function call turn comes immediately after a user turn or after a function "
                "response turn."
            )
        if responses and not waiting:
            raise RequestRefused(
                "Please ensure that function response turn comes immediately after a function call turn."
            )
        if len(responses) != len(waiting):
            raise RequestRefused(
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn."
            )
        called = sorted(call.function_call.name for call in waiting if call.function_call is not None)
        if called != sorted(response.name for response in responses):
            raise RequestRefused("Please ensure that function responses name the functions that were called.")
        ids = {call.function_call.id for call in waiting if call.function_call is not None}
        if any(response.id is not None and response.id not in ids for response in responses):
            raise RequestRefused("Please ensure that the id of a function response is that of its function call.")
        waiting = calls


def _check_signatures(contents: list[Content]) -> None:
    """In the present turn, the first call of each step must bring back its signature unchanged."""
    starts = [index for index, turn in enumerate(contents) if turn.role != "model" and _is_question(turn)]
    for index in range(starts[-1] if starts else 0, len(contents)):
        turn = contents[index]
        call = next((part for part in turn.parts if part.function_call is not None), None)
        if call is None or call.function_call is None:
            continue
        name = call.function_call.name
        if call.thought_signature is None:
            raise RequestRefused(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to work "
                f"correctly. Additional data, function call `default_api:{name}` , position {index + 1}."
            )
        # A stand-in is taken as it is written, or as base64 of what is written.
        known = {_decoded(sign(name)), *NO_SIGNATURE, *(_decoded(text.decode()) for text in NO_SIGNATURE)}
        if _decoded(call.thought_signature) not in known:
            raise RequestRefused("Thought signature is not valid.")


def _is_question(turn: Content) -> bool:
    return not any(part.function_response is not None for part in turn.parts)


def _decoded(signature: str) -> bytes:
    """The bytes of base64 in either alphabet; of anything else, its text."""
    try:
        return base64.b64decode(signature.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error:
        return signature.encode()


def _check_tools(form: GenerateForm) -> None:
    functions = [one for tool in form.tools for one in tool.function_declarations]
    names = [function.name for function in functions]
    if len(set(names)) != len(names):
        raise RequestRefused("Duplicate function declaration found.")
    for index, function in enumerate(functions):
        if function.parameters is not None and function.parameters_json_schema is not None:
            raise RequestRefused(
                f"tools.function_declarations[{index}]: parameters and parameters_json_schema exclude each other"
            )
        if function.parameters is not None:
            _check_schema(function.parameters, f"tools[0].function_declarations[{index}].parameters")
    config = form.tool_config.function_calling_config
    if config.mode == "ANY" and not names:
        raise RequestRefused("Function calling config is set without function_declarations.")
    if config.allowed_function_names and config.mode not in ("ANY", "VALIDATED"):
        raise RequestRefused("Function calling mode must be ANY when allowed_function_names is set.")
    if unknown := [name for name in config.allowed_function_names if name not in names]:
        raise RequestRefused(f"allowed_function_names has names that are not declared: {', '.join(unknown)}")


def _check_schema(schema: Schema, where: str) -> None:
    if schema.type == "array" and schema.items is None:
        raise RequestRefused(f"* GenerateContentRequest.{where}.items: missing field.")
    for name in schema.required:
        if name not in schema.properties:
            raise RequestRefused(f"* GenerateContentRequest.{where}.required: property is not defined: {name}")
    if schema.items is not None:
        _check_schema(schema.items, f"{where}.items")
    for name, part in schema.properties.items():
        _check_schema(part, f"{where}.properties[{name}]")
    for index, part in enumerate(schema.any_of):
        _check_schema(part, f"{where}.any_of[{index}]")


def _check_output(form: GenerateForm) -> None:
    config = form.generation_config
    asks = config.response_schema is not None or config.response_json_schema is not None
    if asks and config.response_mime_type not in ("application/json", "text/x.enum"):
        raise RequestRefused("Response schema is only supported with response_mime_type application/json.")
    if config.response_schema is not None:
        _check_schema(config.response_schema, "generation_config.response_schema")
