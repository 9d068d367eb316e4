"""`ServiceError` <-> the `Status` of batch items, and an error that retrieval and memory share.

Failure policy: an item fails alone, whatever it failed with.
"""

import logging

from google.rpc import status_pb2
from shelm.v1 import agent_pb2, errors_pb2

from services.protocol.reasons import DOMAIN, failure
from services.runtime.auth import in_own_words
from services.runtime.errors import ServiceError, from_status, to_status
from services.runtime.telemetry import refused

log = logging.getLogger(__name__)


def item_status(error: ServiceError) -> agent_pb2.Status:
    """The status of a batch item that failed."""
    return agent_pb2.Status.FromString(to_status(in_own_words(error), DOMAIN).SerializeToString())


def failed_item(error: BaseException, method: str, place: str = "") -> agent_pb2.Status:
    """The status of an item that failed, which is counted and logged. place: of the item in its request, for the field."""
    if isinstance(error, ServiceError):
        told = error.within(place) if place else error
    else:
        log.error("an item of %s failed", method, exc_info=error)
        told = failure(errors_pb2.ERROR_REASON_INTERNAL, "internal error; the server's log tells more")
    refused(method, told)
    return item_status(told)


def item_error(status: agent_pb2.Status) -> ServiceError:
    """The reverse of `item_status`."""
    return from_status(status_pb2.Status.FromString(status.SerializeToString()))


def agent_not_loaded(digest: str) -> ServiceError:
    """AGENT_NOT_FOUND of retrieval and memory, whose requests name agents by digest."""
    text = f"agent_digest: no agent {digest[:64]!r} is loaded here"
    return failure(errors_pb2.ERROR_REASON_AGENT_NOT_FOUND, text)
