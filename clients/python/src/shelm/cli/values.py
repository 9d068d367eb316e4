"""Values of arguments, checked: argparse prints what was expected and exits with 2."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def seconds(text: str) -> float:
    """Returns more than 0 seconds."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected more than 0 seconds, given {text}")
    return value


def natural(text: str) -> int:
    """Returns a whole number, 0 or more."""
    return _checked(text, 0, None)


def count(text: str) -> int:
    """Returns a whole number, 1 or more."""
    return _checked(text, 1, None)


def bounded(low: int, high: int) -> Callable[[str], int]:
    """Returns the check for a whole number low..high."""

    def value(text: str) -> int:
        return _checked(text, low, high)

    return value


def _checked(text: str, low: int, high: int | None) -> int:
    value = int(text)
    if value < low or (high is not None and value > high):
        expected = f"{low} or more" if high is None else f"{low}..{high}"
        raise argparse.ArgumentTypeError(f"expected {expected}, given {text}")
    return value
