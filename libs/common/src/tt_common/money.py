"""Money: integer nanoUSD (10^-9 USD). No floats enter and none leave.

Rounding happens once per request, half up, in `divide_half_up`.
"""

import re
from typing import Final

NANOUSD_PER_USD: Final = 1_000_000_000
TOKENS_PER_PRICE_UNIT: Final = 1_000_000
AMOUNT_NANOUSD_MAX: Final = 2**63 - 1

_DECIMAL = re.compile(r"^(-?)(\d{1,10})(?:\.(\d{1,9}))?$", re.ASCII)


def parse_usd(text: str) -> int:
    """Decimal dollars such as `"12.5"` as nanoUSD. ValueError for anything else, also for more than nine decimals."""
    match = _DECIMAL.match(text.strip())
    if match is None:
        raise ValueError("an amount is a decimal number of USD with at most 9 decimals, such as 12.50")
    sign, whole, fraction = match.groups()
    nanousd = int(whole) * NANOUSD_PER_USD + int((fraction or "").ljust(9, "0"))
    if nanousd > AMOUNT_NANOUSD_MAX:
        raise ValueError("the amount is too large")
    return -nanousd if sign else nanousd


def format_usd(nanousd: int, decimals_min: int = 2) -> str:
    """NanoUSD as decimal dollars, exact; trailing zeros beyond `decimals_min` are dropped."""
    sign = "-" if nanousd < 0 else ""
    whole, fraction = divmod(abs(nanousd), NANOUSD_PER_USD)
    digits = f"{fraction:09d}".rstrip("0").ljust(decimals_min, "0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def divide_half_up(numerator: int, denominator: int) -> int:
    """`numerator / denominator` rounded half up, for a numerator of at least 0 and a denominator above 0."""
    return (2 * numerator + denominator) // (2 * denominator)
