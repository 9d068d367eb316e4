"""What a Redis call raises, and what is found in Redis, as ServiceError.

Failure policy: whatever a call raises, of Redis or of its client library, is STORE_UNAVAILABLE and is logged once with its
traceback; only a cancellation goes on unchanged. Redis's own words may hold addresses, settings and keys: they go to the log
and never to a caller. What is stored in a form that is not ours is EPISODE_DAMAGED, final, and the episode's own.

So `store_errors` is put around the call alone: an error of our own code after it is a fault of ours and stays one.
"""

import contextlib
import logging
from collections.abc import Iterator

from redis.exceptions import ResponseError
from shelm.v1 import errors_pb2

from services.protocol.reasons import failure
from services.runtime.errors import ServiceError
from services.runtime.logs import Sparse

_log = Sparse(logging.getLogger(__name__))


@contextlib.contextmanager
def store_errors(episode_id: str = "") -> Iterator[None]:
    """Raises what a call of Redis raises as a ServiceError. episode_id: whose keys the call is about, if it is one's."""
    try:
        yield
    except Exception as error:
        raise store_error(error, episode_id) from error


def store_error(error: Exception, episode_id: str = "") -> ServiceError:
    """The ServiceError for what a call of Redis raised, or answered for one command of several."""
    if episode_id and isinstance(error, ResponseError) and "WRONGTYPE" in str(error):
        return episode_damaged(episode_id, "a key of another type has its name")
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    where = (place.tb_frame.f_code, place.tb_lineno) if place else None
    _log.error((type(error), where), f"a call of Redis failed: {type(error).__name__}: {error}", error)
    text = "the episode store is unavailable; retry the same step"
    return failure(errors_pb2.ERROR_REASON_STORE_UNAVAILABLE, text, retry_after=0.5)


def episode_damaged(episode_id: str, problem: str, error: Exception | None = None) -> ServiceError:
    """What is stored of the episode is not whole. error: what reading it raised, for the log."""
    text = f"what is stored of episode {episode_id!r} is damaged: {problem}; begin an episode of another name"
    _log.error(episode_id, text, error)
    return failure(errors_pb2.ERROR_REASON_EPISODE_DAMAGED, text, metadata={"episode_id": episode_id})
