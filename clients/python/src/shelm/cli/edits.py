"""Edits of words as they are typed: `--swap key ball`, `--remove 3:key`, `--replace 3:key=ball`, `--insert 3:ball`.

Without STEP: in front, a word is removed or replaced at every step. Failure policy: argparse prints what was expected and
exits with status 2.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from typing import Any

from shelm.edits import Edit, Insert, Remove, Replace, Swap

_AT = re.compile(r"(?:(\d+):)?(.*)", re.DOTALL)


def add_edits(parser: argparse.ArgumentParser) -> None:
    """Adds the options; the edits are in `edits`, in the order in which they were typed."""
    for kind, (form, text, _) in _OPTIONS.items():
        option: Any = parser.add_argument(f"--{kind}", dest="edits", action=_Add, nargs=len(form), metavar=form, help=text)
        option.default = []


def edit_text(edit: Edit) -> str:
    """Returns an edit as it is typed, without the dashes: `swap key ball`, `remove 3:key`."""
    if isinstance(edit, Swap):
        return f"swap {edit.word} {edit.other}"
    at = "" if edit.step is None else f"{edit.step}:"
    if isinstance(edit, Replace):
        return f"replace {at}{edit.word}={edit.replacement}"
    return f"{'insert' if isinstance(edit, Insert) else 'remove'} {at}{edit.word}"


class _Add(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        kind = str(option).removeprefix("--")
        form, _, read = _OPTIONS[kind]
        edit = read(values)
        if edit is None:
            parser.error(f"argument --{kind}: expected {' '.join(form)}, given {' '.join(values)}")
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), edit])


def _swap(values: Sequence[str]) -> Edit | None:
    return Swap(*values) if all(values) else None


def _remove(values: Sequence[str]) -> Edit | None:
    step, word = _at(values[0])
    return Remove(word, step) if word or step is not None else None


def _replace(values: Sequence[str]) -> Edit | None:
    step, words = _at(values[0])
    word, _, replacement = words.partition("=")
    return Replace(word, replacement, step) if word and replacement else None


def _insert(values: Sequence[str]) -> Edit | None:
    step, word = _at(values[0])
    return Insert(word, step) if word and step is not None else None


def _at(text: str) -> tuple[int | None, str]:
    found = _AT.fullmatch(text)
    assert found, "it matches every text"
    return None if found[1] is None else int(found[1]), found[2]


_OPTIONS: dict[str, tuple[tuple[str, ...], str, Callable[[Sequence[str]], Edit | None]]] = {
    "swap": (("WORD", "OTHER"), "exchange two words at every step", _swap),
    "remove": (("[STEP:][WORD]",), "take a word away, at every step or at one; `STEP:` all words of a step", _remove),
    "replace": (("[STEP:]WORD=WORD",), "put a word in the place of another, at every step or at one", _replace),
    "insert": (("STEP:WORD",), "add a word to a step", _insert),
}
