"""How much a Claude model is to think, in the words that this model takes.

Facts: models from 4.6 on think adaptively, steered by an effort; those before take a budget, which newer ones refuse. A turn of an older
model that thinks must begin with a thought of its own; adaptive thinking doesn't insist. Thinking and a forced tool exclude each other.
"""

import re
from typing import Any, Final

from tt_edge.protocols.anthropic.request import BUDGET_TOKENS_MIN, fitting_thinking
from tt_edge.protocols.canonical.request import ChatRequest, Reasoning, Thinking, ToolResult, ToolUse

VERSION_IN_NAME: Final = re.compile(
    r"claude-(?:(\d{1,2})(?:-(\d{1,2}))?(?=-[a-z])|[a-z]+-(\d{1,2})(?:-(\d{1,2}))?(?=[-@:]|$))"
)
"""claude-3-5-sonnet-20241022, claude-opus-4-1-20250805, claude-sonnet-5."""
ADAPTIVE_FROM: Final = (4, 6)
BUDGETS: Final = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 32_768}
"""Tokens of thinking, where a model takes no effort."""
LOW_BUDGET_TOKENS: Final = 4_096
MEDIUM_BUDGET_TOKENS: Final = 16_384
OFF: Final = {"type": "disabled"}


def thinking_of(asked: ChatRequest, upstream_model: str, limit: int) -> tuple[dict[str, Any] | None, str | None]:
    """`thinking` and `output_config.effort`; None for what is not said."""
    reasoning = asked.reasoning
    if reasoning is None:
        return None, None
    version = version_of(upstream_model)
    adaptive = version is not None and version >= ADAPTIVE_FROM
    forced = asked.tool_choice is not None and asked.tool_choice.mode in ("any", "tool")
    if reasoning.off or forced:
        return (None if version is not None and not adaptive else OFF), None
    if adaptive or (version is None and reasoning.budget_tokens is None):
        return {"type": "adaptive", "display": _display(reasoning)}, _effort(reasoning)
    if continues_without_thought(asked):
        return OFF, None
    budget = reasoning.budget_tokens or BUDGETS[reasoning.effort or "medium"]
    return fitting_thinking({"type": "enabled", "budget_tokens": max(budget, BUDGET_TOKENS_MIN)}, limit), None


def version_of(model: str) -> tuple[int, int] | None:
    """Major and minor version in a model's name; None where it names none."""
    found = VERSION_IN_NAME.search(model)
    if found is None:
        return None
    major, minor = found[1] or found[3], found[2] or found[4]
    return int(major), int(minor or 0)


def continues_without_thought(asked: ChatRequest) -> bool:
    """Whether the request goes on with a loop of tools whose first turn has no thought that Anthropic signed."""
    loop: list[Any] = []
    for turn in reversed(asked.turns):
        if turn.role == "user" and not any(isinstance(block, ToolResult) for block in turn.blocks):
            break
        loop.append(turn)
    first = next((turn for turn in reversed(loop) if turn.role == "assistant"), None)
    if first is None or not any(isinstance(block, ToolUse) for turn in loop for block in turn.blocks):
        return False
    return not any(is_own(block) for block in first.blocks)


def is_own(block: Any) -> bool:
    """Whether a block is a thought that Anthropic will know again."""
    return isinstance(block, Thinking) and block.vendor == "anthropic" and bool(block.signature)


def _display(reasoning: Reasoning) -> str:
    return "summarized" if reasoning.show else "omitted"


def _effort(reasoning: Reasoning) -> str | None:
    if reasoning.effort is not None:
        return "low" if reasoning.effort == "minimal" else reasoning.effort
    budget = reasoning.budget_tokens
    if budget is None:
        return None
    return "low" if budget <= LOW_BUDGET_TOKENS else "medium" if budget <= MEDIUM_BUDGET_TOKENS else "high"
