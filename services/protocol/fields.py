"""Checks of single request fields.

Failure policy: INVALID_ARGUMENT names the field, what was expected and what was given.
"""

import re
from math import isfinite

from services.runtime.errors import invalid

ARCHIVE_TOKEN = re.compile(r"(?:@[~A-Za-z0-9._-]{1,65}/)?[0-9a-f]{3}/[A-Za-z0-9._:%@~-]{1,200}")
MAX_STEP = 2**53 - 1  # Redis's Lua counts in doubles
MAX_SEED = 2**63 - 1
MAX_PAGE = 1000


def check_step(step: int, field: str = "step") -> int:
    """0 .. 2^53 - 1."""
    if step > MAX_STEP:
        raise invalid(field, f"expected 0..{MAX_STEP}, got {step}")
    return step


def check_seed(seed: int) -> int:
    """0 .. 2^63 - 1."""
    if seed > MAX_SEED:
        raise invalid("seed", f"expected 0..{MAX_SEED}, got {seed}")
    return seed


def check_reward(reward: float) -> float:
    """A finite number."""
    if not isfinite(reward):
        raise invalid("total_reward", f"expected a finite number, got {reward}")
    return reward


def check_page_size(size: int, field: str, default: int = 100) -> int:
    """1..1000, where 0 means the default."""
    if size > MAX_PAGE:
        raise invalid(field, f"expected 0..{MAX_PAGE}, got {size}")
    return size or default


def check_at_most(count: int, most: int, field: str) -> None:
    """A list of at most `most` items."""
    if count > most:
        raise invalid(field, f"expected at most {most}, got {count}")


def check_page_token(token: str) -> int:
    """A cursor that an earlier page gave, or empty."""
    if token and not (token.isdecimal() and len(token) <= 20 and int(token) < 2**64):  # what Redis can count to
        raise invalid("page_token", f"expected next_page_token of an earlier page, got {token[:40]!r}")
    return int(token or 0)


def check_archive_token(token: str) -> str:
    """A place in the archive that an earlier page gave, or empty."""
    if token and not ARCHIVE_TOKEN.fullmatch(token):
        raise invalid("page_token", f"expected next_page_token of an earlier page of the archive, got {token[:40]!r}")
    return token
