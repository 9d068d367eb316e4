"""Edits of words: messages of the public contract <-> typed values.

Failure policy: INVALID_ARGUMENT with the path of the field, what was expected and what came.
"""

from collections.abc import Iterable, Sequence

from shelm.v1 import agent_pb2

from services.protocol.fields import check_at_most
from services.protocol.values import Edit, Insert, Remove, Replace, Swap
from services.runtime.errors import invalid

MOST_EDITS = 64


def read_edits(edits: Sequence[agent_pb2.Edit], field: str) -> tuple[Edit, ...]:
    """Edits as values. field: path of the list."""
    check_at_most(len(edits), MOST_EDITS, field)
    return tuple(_read_edit(one, f"{field}[{i}]") for i, one in enumerate(edits))


def _read_edit(edit: agent_pb2.Edit, field: str) -> Edit:
    kind = edit.WhichOneof("kind")
    if kind == "remove":
        if not edit.remove.word and not edit.remove.HasField("step"):
            raise invalid(f"{field}.remove", "expected a word, a step, or both, got neither")
        return Remove(edit.remove.word, edit.remove.step if edit.remove.HasField("step") else None)
    if kind == "replace":
        step = edit.replace.step if edit.replace.HasField("step") else None
        return Replace(edit.replace.word, edit.replace.replacement, step)
    if kind == "insert":
        return Insert(edit.insert.word, edit.insert.step)
    if kind == "swap":
        return Swap(edit.swap.word, edit.swap.other)
    raise invalid(field, "expected remove, replace, insert or swap, got none of them")


def edit_messages(edits: Iterable[Edit]) -> list[agent_pb2.Edit]:
    """The reverse of `read_edits`."""
    return [_edit_message(one) for one in edits]


def _edit_message(edit: Edit) -> agent_pb2.Edit:
    if isinstance(edit, Remove):
        return agent_pb2.Edit(remove=agent_pb2.RemoveWord(step=edit.step, word=edit.word))
    if isinstance(edit, Replace):
        replaced = agent_pb2.ReplaceWord(step=edit.step, word=edit.word, replacement=edit.replacement)
        return agent_pb2.Edit(replace=replaced)
    if isinstance(edit, Insert):
        return agent_pb2.Edit(insert=agent_pb2.InsertWord(step=edit.step, word=edit.word))
    return agent_pb2.Edit(swap=agent_pb2.SwapWords(word=edit.word, other=edit.other))
