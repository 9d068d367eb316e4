"""Damaged protobuf messages and texts, for the surfaces that send them. The same generator gives the same ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

Choose = np.random.Generator
NUMBERS = (0, 1, 2, 127, 128, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1)
TEXTS = (
    *(
        "",
        " ",
        ".",
        "..",
        "../x",
        "/",
        "fuzz/..",
        "*",
        "?",
        "[a]",
        "{x}",
        "}",
        "\n",
        "\0",
        "a\0b",
        "é",
        "\U0001f600",
        "\u202e",
    ),
    *("fuzz@acme", "fuzz@~intern", "fuzz@", "@acme", "@", "~", "fuzz@-", "a@b@c", "%2E", "%00", "x" * 128, "x" * 129),
    *("x" * 100_000, "-", "--", "0", "-1", "1e9", "9" * 30, "NaN", "shelm:{fuzz}:episode", "fuzz:ended", "fuzz", "\ufeff"),
    *("{}", "[[", "' OR 1=1", "$(id)", "\r\nX: y", "<script>", "episode\u0000@acme", "FUZZ", "fuzz ", " fuzz"),
)
_KIND = FieldDescriptor


def pick(choose: Choose, items: Sequence[Any]) -> Any:
    """One of them."""
    return items[int(choose.integers(len(items)))]


def text(choose: Choose) -> str:
    """A text that is unusual as a name."""
    one: str = pick(choose, TEXTS)
    return one + pick(choose, TEXTS)[:200] if choose.integers(4) == 0 else one


def number(choose: Choose, bits: int, *, signed: bool) -> int:
    """A number of so many bits, most often at an end of what it can be."""
    value: int = pick(choose, NUMBERS) if choose.integers(2) else int(choose.integers(0, 2**63))
    value %= 2**bits
    return value - 2**bits if signed and value >= 2 ** (bits - 1) else value


def damage(choose: Choose, data: bytes) -> bytes:
    """The bytes with one to five changes: others, fewer, repeated, elsewhere."""
    out = bytearray(data)
    for _ in range(int(pick(choose, (1, 1, 1, 2, 5)))):
        at, length = int(choose.integers(len(out) + 1)), int(choose.integers(1, 30))
        kind = choose.integers(6)
        if kind == 0:
            out[at : at + 1] = choose.bytes(1)
        elif kind == 1:
            del out[at : at + length]
        elif kind == 2:
            out[at:at] = out[at : at + length] * int(choose.integers(1, 20))
        elif kind == 3:
            out[at:at] = choose.bytes(length)
        elif kind == 4:
            del out[at:]
        else:
            out[at:at] = b"\x0b" * int(choose.integers(1, 2000))  # groups within groups
    return bytes(out)


def refill(choose: Choose, message: Message, chance: float = 0.5) -> None:
    """Gives some fields of a message, and of those within it, values at the ends of what they can be."""
    fields: Any = message.DESCRIPTOR.fields
    for one in fields:
        if choose.random() > chance:
            continue
        if one.is_repeated:
            _repeat(choose, message, one)
        elif one.type == _KIND.TYPE_MESSAGE:
            refill(choose, getattr(message, one.name), chance / 2)
        else:
            setattr(message, one.name, _value(choose, one))


def _repeat(choose: Choose, message: Message, one: Any) -> None:
    many = getattr(message, one.name)
    for _ in range(int(pick(choose, (0, 1, 2, 3, 50)))):
        if one.type == _KIND.TYPE_MESSAGE:
            refill(choose, many.add(), 0.3)
        else:
            many.append(_value(choose, one))
    if len(many) and choose.integers(3) == 0:
        del many[int(choose.integers(len(many)))]


def _value(choose: Choose, one: Any) -> Any:
    if one.type == _KIND.TYPE_STRING:
        return text(choose)
    if one.type == _KIND.TYPE_BYTES:
        return choose.bytes(int(pick(choose, (0, 1, 15, 16, 17, 9408, 20_000))))
    if one.type == _KIND.TYPE_BOOL:
        return bool(choose.integers(2))
    if one.type in (_KIND.TYPE_DOUBLE, _KIND.TYPE_FLOAT):
        return pick(choose, (0.0, -0.0, float("nan"), float("inf"), -float("inf"), 1e-300, 3e38))
    if one.type == _KIND.TYPE_ENUM:
        return int(choose.integers(-1, 6))
    bits = 64 if one.cpp_type in (_KIND.CPPTYPE_INT64, _KIND.CPPTYPE_UINT64) else 32
    return number(choose, bits, signed=one.cpp_type in (_KIND.CPPTYPE_INT64, _KIND.CPPTYPE_INT32))
