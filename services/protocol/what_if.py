"""Edits of words, and WhatIf: messages of the public contract <-> typed values.

Failure policy: INVALID_ARGUMENT with the path of the field, what was expected and what came.
"""

from collections.abc import Iterable, Sequence

from shelm.v1 import agent_pb2

from services.protocol.actions import action_message, distribution_message
from services.protocol.fields import check_at_most, check_step
from services.protocol.image import read_image
from services.protocol.names import full_name
from services.protocol.steps import token_messages
from services.protocol.values import (
    Alternative,
    Edit,
    Insert,
    Remove,
    Replace,
    StepWords,
    Swap,
    WhatIfAnswer,
    WhatIfCall,
    WhatIfOutcome,
)
from services.runtime.errors import invalid

MOST_ALTERNATIVES, MOST_EDITS = 16, 64


def parse_what_if(request: agent_pb2.WhatIfRequest) -> WhatIfCall:
    """The request of one WhatIf."""
    check_at_most(len(request.alternatives), MOST_ALTERNATIVES, "alternatives")
    return WhatIfCall(
        full_name(request.episode_id),
        check_step(request.step),
        [
            Alternative(read_edits(one.edits, f"alternatives[{i}].edits"), one.agent)
            for i, one in enumerate(request.alternatives)
        ],
        read_image(request.observation) if request.HasField("observation") else None,
    )


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


def what_if_message(answer: WhatIfAnswer) -> agent_pb2.WhatIfResponse:
    """The reply to a WhatIf."""
    return agent_pb2.WhatIfResponse(
        step=answer.step,
        action=action_message(answer.action),
        actual=_outcome_message(answer.actual),
        alternatives=[_outcome_message(one) for one in answer.alternatives],
        reach_from_step=answer.reach_from_step,
    )


def _outcome_message(outcome: WhatIfOutcome) -> agent_pb2.Outcome:
    return agent_pb2.Outcome(
        distribution=distribution_message(outcome.distribution),
        most_probable=action_message(outcome.most_probable),
        value=outcome.value,
        change=outcome.change,
        words=[_words_message(one) for one in outcome.words],
    )


def _words_message(one: StepWords) -> agent_pb2.StepWords:
    step, words = one
    return agent_pb2.StepWords(step=step, tokens=token_messages(words))
