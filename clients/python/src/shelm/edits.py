"""Edits of the words in a memory, for `Client.what_if` and `Client.branch_episode`.

Words are those of the agent's vocabulary. Edits are done one after the other, each on what those before it have left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Union

from shelm.boundary import invalid
from shelm.v1 import agent_pb2


@dataclass(frozen=True)
class Remove:
    """Takes a word away, from one step or from every step; without a word, all words of a step."""

    word: str = ""
    step: int | None = None


@dataclass(frozen=True)
class Replace:
    """Puts a word in the place of another, at one step or at every step."""

    word: str
    replacement: str
    step: int | None = None


@dataclass(frozen=True)
class Insert:
    """Adds a word after the others of a step."""

    word: str
    step: int


@dataclass(frozen=True)
class Swap:
    """Exchanges two words at every step."""

    word: str
    other: str


Edit = Union[Remove, Replace, Insert, Swap]
KINDS = (Remove, Replace, Insert, Swap)


@dataclass(frozen=True)
class Alternative:
    """Another memory, or another agent."""

    edits: Sequence[Edit] = ()
    agent: str = ""
    """Name or digest of an agent with the same vocabulary, which decides instead; "" for the episode's own."""


AnyAlternative = Union[Alternative, Edit, Sequence[Edit]]


def alternative_message(alternative: AnyAlternative) -> agent_pb2.Alternative:
    """Returns the message of an alternative, or of one that consists of an edit or a list of edits alone."""
    if isinstance(alternative, KINDS):
        alternative = [alternative]
    if not isinstance(alternative, Alternative):
        alternative = Alternative(alternative)
    return agent_pb2.Alternative(edits=edit_messages(alternative.edits), agent=alternative.agent)


def edit_messages(edits: Sequence[Edit]) -> list[agent_pb2.Edit]:
    """Returns the messages of edits; raises InvalidArgument for anything else."""
    return [_message(edit) for edit in edits]


def edit_from(edit: agent_pb2.Edit) -> Edit:
    """Returns the edit of a message."""
    kind = edit.WhichOneof("kind")
    if kind == "remove":
        return Remove(edit.remove.word, edit.remove.step if edit.remove.HasField("step") else None)
    if kind == "replace":
        step = edit.replace.step if edit.replace.HasField("step") else None
        return Replace(edit.replace.word, edit.replace.replacement, step)
    if kind == "insert":
        return Insert(edit.insert.word, edit.insert.step)
    return Swap(edit.swap.word, edit.swap.other)


def _message(edit: Any) -> agent_pb2.Edit:
    try:
        if None in (getattr(edit, name, "") for name in ("word", "replacement", "other")):
            raise TypeError("a word is None")  # which protobuf would take for one that is unset
        if isinstance(edit, Remove):
            return agent_pb2.Edit(remove=agent_pb2.RemoveWord(step=edit.step, word=edit.word))
        if isinstance(edit, Replace):
            replaced = agent_pb2.ReplaceWord(step=edit.step, word=edit.word, replacement=edit.replacement)
            return agent_pb2.Edit(replace=replaced)
        if isinstance(edit, Insert):
            return agent_pb2.Edit(insert=agent_pb2.InsertWord(step=edit.step, word=edit.word))
        if isinstance(edit, Swap):
            return agent_pb2.Edit(swap=agent_pb2.SwapWords(word=edit.word, other=edit.other))
    except (TypeError, ValueError) as error:
        raise invalid("edits", f"expected words as str and steps as 0 .. 2**64 - 1, given {edit!r} ({error})") from None
    raise invalid("edits", f"expected Remove, Replace, Insert or Swap, given {edit!r}")
