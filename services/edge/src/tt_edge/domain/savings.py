"""What a prompt cache saves, a provider's or the gateway's own. Pure."""

import msgspec

from tt_common.rating import Price, Usage, cost_nanousd


def kept_usage(usage: Usage) -> Usage:
    """What a replay uses where the answer had used `usage`: the whole prompt read from the cache, and no output."""
    return Usage(cache_read_tokens=usage.prompt_tokens)


def uncached(usage: Usage) -> Usage:
    """The same use with nothing read from a cache."""
    return msgspec.structs.replace(
        usage, input_tokens=usage.input_tokens + usage.cache_read_tokens, cache_read_tokens=0
    )


def saved_nanousd(full: Usage, cost: int, price: Price) -> int:
    """What `full` would have cost without any cache, less `cost` in nanoUSD; never below 0."""
    return max(0, cost_nanousd(uncached(full), price) - cost)
