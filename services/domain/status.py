"""Our errors as the `Status` of batch items: field by field the same as google.rpc.Status."""

from google.rpc import status_pb2
from shelm.v1 import agent_pb2

from services.domain.settings import DOMAIN
from services.runtime.errors import ServiceError, from_status, to_status


def item_status(error: ServiceError) -> agent_pb2.Status:
    """What a batch says about one item that failed."""
    return agent_pb2.Status.FromString(to_status(error, DOMAIN).SerializeToString())


def item_error(status: agent_pb2.Status) -> ServiceError:
    """The reverse of `item_status`."""
    return from_status(status_pb2.Status.FromString(status.SerializeToString()))
