"""Many episodes in one call; only items with transient errors are retried.

The outcome of an item is final once it is an answer or a permanent error. An error of the whole call applies to every item
without an outcome; if no item has one, the error is raised. Nothing here sends or waits, so that both clients share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

from shelm.convert import act_from
from shelm.errors import ShelmError
from shelm.results import Act
from shelm.status import error_from_status
from shelm.v1 import agent_pb2

Outcome = Union[Act, ShelmError]


class Batch:
    """The items of one ActBatch call and their outcomes."""

    def __init__(self, requests: Sequence[agent_pb2.ActRequest]) -> None:
        """Takes the items, one per episode."""
        self._pending = list(requests)
        self._outcomes: dict[str, Outcome] = {}
        self._failure: ShelmError | None = None

    def request(self) -> agent_pb2.ActBatchRequest:
        """Returns the next request to send."""
        return agent_pb2.ActBatchRequest(requests=self._pending)

    def answered(self, response: agent_pb2.ActBatchResponse) -> None:
        """Stores the outcomes in a response."""
        self._failure = None
        self._note([_outcome(result) for result in response.results])

    def failed(self, error: ShelmError) -> None:
        """Stores that the call failed as a whole."""
        self._failure = error
        if self._outcomes:
            self._note([error] * len(self._pending))

    @property
    def error(self) -> ShelmError | None:
        """Returns the error that the next attempt waits for, which is the one with the longest delay; None if all outcomes
        are final.
        """
        if self._failure and not self._outcomes:
            return self._failure
        failures = [error for request in self._pending if (error := _passing(self._outcomes[request.episode_id]))]
        return max(failures, key=lambda error: error.retry_after or 0.0, default=None)

    def outcomes(self) -> dict[str, Outcome]:
        """Returns the outcome of each item by episode_id; raises the call's error if no item has one."""
        if self._failure and not self._outcomes:
            raise self._failure
        return self._outcomes

    def _note(self, outcomes: Sequence[Outcome]) -> None:
        if len(outcomes) != len(self._pending):
            raise ValueError(f"the server answered {len(outcomes)} of {len(self._pending)} items")
        noted = list(zip(self._pending, outcomes))
        self._outcomes |= {request.episode_id: outcome for request, outcome in noted}
        self._pending = [request for request, outcome in noted if _passing(outcome)]


def _outcome(result: agent_pb2.ActResult) -> Outcome:
    return act_from(result.response) if result.HasField("response") else error_from_status(result.status)


def _passing(outcome: Outcome) -> ShelmError | None:
    """Returns the error if it is transient, else None."""
    return outcome if isinstance(outcome, ShelmError) and outcome.retryable else None
