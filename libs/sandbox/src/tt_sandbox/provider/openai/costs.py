"""OpenAI's usage objects. Prompt counts contain what was cached and what was written to a cache; it knows one kind of cache write."""

from typing import Any, NamedTuple

from tt_sandbox.provider.records import TokenCounts


class Counted(NamedTuple):
    """What OpenAI counts apart: audio heard and spoken, and how many choices."""

    audio_input: int = 0
    audio_output: int = 0
    choices: int = 1

    def counts(self, said: TokenCounts) -> TokenCounts:
        """What the whole answer is worth, in the common classes."""
        heard = min(self.audio_input, said.input)
        return said._replace(
            input=said.input - heard,
            audio_input=heard,
            cache_write_5m=said.cache_write_5m + said.cache_write_1h,
            cache_write_1h=0,
            output=said.output * self.choices,
            reasoning=said.reasoning * self.choices,
            audio_output=self.audio_output * self.choices,
        )


def chat_usage(counts: TokenCounts) -> dict[str, Any]:
    """The usage object of a chat's answer."""
    prompt = counts.input + counts.cache_read + counts.cache_write_5m + counts.audio_input
    completion = counts.output + counts.audio_output
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": counts.cache_read,
            "cache_write_tokens": counts.cache_write_5m,
            "audio_tokens": counts.audio_input,
        },
        "completion_tokens_details": {
            "reasoning_tokens": counts.reasoning,
            "audio_tokens": counts.audio_output,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def responses_usage(counts: TokenCounts) -> dict[str, Any]:
    """The usage object of a response."""
    prompt = counts.input + counts.cache_read + counts.cache_write_5m
    return {
        "input_tokens": prompt,
        "input_tokens_details": {
            "cached_tokens": counts.cache_read,
            "cache_write_tokens": counts.cache_write_5m,
        },
        "output_tokens": counts.output,
        "output_tokens_details": {"reasoning_tokens": counts.reasoning},
        "total_tokens": prompt + counts.output,
    }
