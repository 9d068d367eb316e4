"""Edits of words <-> protobuf messages. What is no edit raises InvalidArgument before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shelm.boundary import invalid
from shelm.edits import KINDS, Alternative, AnyAlternative, Edit, Insert, Remove, Replace, Swap
from shelm.v1 import agent_pb2


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
