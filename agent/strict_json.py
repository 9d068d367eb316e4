"""JSON of a bundle, read as its author must have meant it.

What parsers disagree about, or what only costs memory, is refused: a key twice, NaN and infinite numbers, numbers beyond 64
bits, text that is not Unicode, more than `DEEPEST` values within each other, more than `LONGEST` bytes in a file.

Failure policy: ValueError begins with what was read, and names the field.
"""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DEEPEST, LONGEST = 32, 4 * 2**20
_MARKS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)  # a string, or a bracket outside strings
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN = 100  # characters of a field's name


class _Wrong:
    """Stands for a number that is refused, until its field is known."""

    def __init__(self, text: str) -> None:
        self.text = text if len(text) <= 20 else f"{text[:20]}..."


def read_json(path: Path, what: str | None = None) -> Any:
    """Returns the content of a file. what: how errors name it; by default its path."""
    named = what or str(path)
    with path.open("rb") as file:
        data = file.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise ValueError(f"{named}: expected at most {LONGEST} bytes, there are more")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{named} is not JSON: {error}") from None
    return parse_json(text, named)


def read_object(path: Path) -> dict[str, Any]:
    """Returns the content of a file that is an object."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object")
    return content


def parse_json(text: str, what: str) -> Any:
    """Returns the value of a text. what: how errors name it."""
    _check_depth(text, what)
    try:
        value = json.loads(
            text, parse_constant=_Wrong, parse_int=_integer, parse_float=_float, object_pairs_hook=lambda p: _object(p, what)
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"{what} is not JSON: {error}") from None
    for field, part in _parts(value):
        if isinstance(part, _Wrong):
            raise ValueError(f"{what}: {field}: expected a finite number of at most 64 bits, got {part.text}")
        if isinstance(part, str) and _SURROGATE.search(part):
            raise ValueError(f"{what}: {field}: expected Unicode text, it has half of a character")
    return value


def _check_depth(text: str, what: str) -> None:
    """The parser's own limit depends on the interpreter's, and names no field."""
    depth, last = 0, ""
    for mark in _MARKS.finditer(text):
        one = mark.group()
        if one[0] == '"':
            last = one[1:-1] if depth < 3 else last
        else:
            depth += 1 if one in "[{" else -1
        if depth > DEEPEST:
            raise ValueError(f"{what}: {last[:_SHOWN]}: expected at most {DEEPEST} values within each other, there are more")


def _integer(text: str) -> int | _Wrong:
    return int(text) if len(text) <= 20 and -(2**63) <= int(text) < 2**64 else _Wrong(text)


def _float(text: str) -> float | _Wrong:
    return number if math.isfinite(number := float(text)) else _Wrong(text)


def _object(pairs: list[tuple[str, Any]], what: str) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in content if names.count(name) > 1)
        raise ValueError(f"{what}: {twice[:_SHOWN]!a}: expected once, it is there {names.count(twice)} times")
    return content


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key and every value that is no object and no list, with the field it is in."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        field, one = waiting.pop()
        prefix = f"{field}." if field else ""
        if isinstance(one, dict):
            for key, part in one.items():
                inner = prefix + ascii(key[:_SHOWN])[1:-1]
                yield inner, key
                waiting.append((inner, part))
        elif isinstance(one, list):
            waiting.extend((f"{prefix}{number}", part) for number, part in enumerate(one))
        else:
            yield field, one
