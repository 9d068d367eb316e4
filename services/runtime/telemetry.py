"""Metrics (Prometheus) of every service, and the log line for each error that a caller gets.

Contract: the number of label values is bounded: agents are configured, queues, methods and reasons are fixed in the code.
Failure policy: telemetry never fails a call.
"""

import logging

import grpc
from prometheus_client import Counter, Gauge, Histogram, start_http_server

from services.runtime.errors import ServiceError
from services.runtime.logs import Sparse

log = logging.getLogger(__name__)
_crowds = Sparse(log)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
# What the caller cannot mend.
FAULTS = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.DATA_LOSS,
    }
)

BATCH_SIZE = Histogram("shelm_batch_size", "Items in one run", ["queue"], buckets=_SIZES)
QUEUE_SECONDS = Histogram("shelm_queue_seconds", "Time an item waited before its run", ["queue"], buckets=SECONDS)
RUN_SECONDS = Histogram("shelm_run_seconds", "Time of one run", ["queue"], buckets=SECONDS)
CALLS = Counter("shelm_calls_total", "Finished calls", ["method", "code"])
REFUSALS = Counter("shelm_refusals_total", "Calls, and items of calls, that got an error", ["method", "code", "reason"])
READY = Gauge("shelm_ready", "1 if the service has all that it needs, as its health says", ["service"])


def refused(method: str, error: ServiceError) -> None:
    """Counts and logs a call, or an item of one, that ends with an error. method: `/PACKAGE.SERVICE/METHOD`."""
    fault = error.code in FAULTS
    REFUSALS.labels(method, error.code.name, error.reason).inc()
    level = logging.WARNING if fault else logging.INFO
    if error.code is grpc.StatusCode.RESOURCE_EXHAUSTED:  # a crowd of callers must not fill the disk as well
        _crowds.warning((method, error.reason), f"{method} refused: {error.code.name} {error.reason}: {error.message}")
    elif error.reason != "INTERNAL":  # has been logged with its traceback
        log.log(level, "%s refused: %s %s: %s", method, error.code.name, error.reason, error.message)


def agent_labels(name: str, digest: str) -> tuple[str, str]:
    """Labels `agent` and `digest` of a metric; the digest is cut to the 16 digits that Triton's model names have."""
    return name, digest[:16]


def start_metrics(listen: str) -> None:
    """Serves /metrics on HOST:PORT."""
    host, _, port = listen.rpartition(":")
    start_http_server(int(port), addr=host)
