"""Pictures and sounds to send, and what a call for images or audio was charged."""

import struct
from typing import Any, Final

from tests.support.console import ConsoleUser
from tests.support.product import Product
from tt_sandbox.provider import pictures

WAV_RATE: Final = 8_000


def png() -> bytes:
    """A real picture."""
    return pictures.png("a source")


def wav(seconds: int, rate: int = WAV_RATE) -> bytes:
    """Silence of that length: one channel of 16 bits."""
    data = bytes(seconds * rate * 2)
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    return head + struct.pack("<4sI", b"data", len(data)) + data


def charged(customer: ConsoleUser, headers: Any) -> int:
    """NanoUSD, by the receipt of the call that these headers answered."""
    return customer.receipt(headers["x-request-id"])["charged_nanousd"]


def served(product: Product, label: str) -> dict[str, Any]:
    """What the provider wrote for the one call of that label."""
    [call] = product.provider.calls(label=label)
    return call["usage"]
