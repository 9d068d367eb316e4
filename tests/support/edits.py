"""Edits of words as messages."""

from shelm.v1 import agent_pb2


def remove(word: str = "", step: int | None = None) -> agent_pb2.Edit:
    """Takes a word away, from one step or from all; without a word all of a step."""
    return agent_pb2.Edit(remove=agent_pb2.RemoveWord(step=step, word=word))


def replace(word: str, replacement: str, step: int | None = None) -> agent_pb2.Edit:
    """Puts a word in the place of another."""
    return agent_pb2.Edit(replace=agent_pb2.ReplaceWord(step=step, word=word, replacement=replacement))


def insert(word: str, step: int) -> agent_pb2.Edit:
    """Adds a word to a step."""
    return agent_pb2.Edit(insert=agent_pb2.InsertWord(step=step, word=word))


def swap(word: str, other: str) -> agent_pb2.Edit:
    """Exchanges two words."""
    return agent_pb2.Edit(swap=agent_pb2.SwapWords(word=word, other=other))
