"""WhatIf: messages of the public contract <-> typed values.

Failure policy: INVALID_ARGUMENT with the path of the field, what was expected and what came.
"""

from shelm.v1 import agent_pb2

from services.protocol.actions import action_message, distribution_message
from services.protocol.edits import read_edits
from services.protocol.fields import check_at_most, check_step
from services.protocol.image import read_image
from services.protocol.names import full_name
from services.protocol.steps import token_messages
from services.protocol.values import Alternative, StepWords, WhatIfAnswer, WhatIfCall, WhatIfOutcome

MOST_ALTERNATIVES = 16


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
