"""Validators for argument values; argparse prints what was expected and exits with status 2."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def seconds(text: str) -> float:
    """Returns a number of seconds greater than 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected more than 0 seconds, given {text}")
    return value


def share(text: str) -> float:
    """Returns a number, 0..1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected 0..1, given {text}")
    return value


def natural(text: str) -> int:
    """Returns an integer, 0 or greater."""
    return _checked(text, 0, None)


def count(text: str) -> int:
    """Returns an integer, 1 or greater."""
    return _checked(text, 1, None)


def bounded(low: int, high: int) -> Callable[[str], int]:
    """Returns a validator for integers low..high."""

    def value(text: str) -> int:
        return _checked(text, low, high)

    return value


def _checked(text: str, low: int, high: int | None) -> int:
    value = int(text)
    if value < low or (high is not None and value > high):
        expected = f"{low} or more" if high is None else f"{low}..{high}"
        raise argparse.ArgumentTypeError(f"expected {expected}, given {text}")
    return value
