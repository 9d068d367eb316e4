"""Many episodes in one call, with retries of those items alone that may succeed if repeated.

The outcome of an item is final once it is an answer or an error that repeating cannot change. An error of the whole
call counts for every item that has no outcome yet; if that is all of them, it is raised.
"""

from collections.abc import Sequence
from typing import TypeGuard

from shelm.convert import act_from
from shelm.errors import ShelmError
from shelm.results import Act
from shelm.status import error_from_status
from shelm.transport import Transport
from shelm.v1 import agent_pb2


def act_all(transport: Transport, requests: Sequence[agent_pb2.ActRequest]) -> dict[str, Act | ShelmError]:
    """Returns the outcome of each request by episode_id; raises ShelmError if the whole call fails before any has one."""
    outcomes: dict[str, Act | ShelmError] = {}
    attempts, pending = transport.attempts(), list(requests)
    while pending:
        try:
            outcomes |= _once(transport, pending, attempts.timeout)
        except ShelmError as error:
            if not outcomes:
                attempts.wait_or_raise(error)
                continue
            outcomes |= {request.episode_id: error for request in pending}
        failures = {name: outcome for name, outcome in outcomes.items() if _may_repeat(outcome)}
        if not failures or not attempts.wait(max(failures.values(), key=lambda error: error.retry_after or 0.0)):
            break
        pending = [request for request in requests if request.episode_id in failures]
    return outcomes


def _once(transport: Transport, requests: Sequence[agent_pb2.ActRequest], timeout: float) -> dict[str, Act | ShelmError]:
    response = transport.once("ActBatch", agent_pb2.ActBatchRequest(requests=requests), timeout=timeout)
    return {request.episode_id: _outcome(result) for request, result in zip(requests, response.results, strict=True)}


def _outcome(result: agent_pb2.ActResult) -> Act | ShelmError:
    return act_from(result.response) if result.HasField("response") else error_from_status(result.status)


def _may_repeat(outcome: Act | ShelmError) -> TypeGuard[ShelmError]:
    return isinstance(outcome, ShelmError) and outcome.retryable
