"""Metrics (Prometheus) and logs that every service has. Failure policy: telemetry never fails a call."""

import logging

from prometheus_client import Counter, Histogram, start_http_server

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)

BATCH_SIZE = Histogram("shelm_batch_size", "Items in one run", ["queue"], buckets=_SIZES)
QUEUE_SECONDS = Histogram("shelm_queue_seconds", "Time an item waited before its run", ["queue"], buckets=_SECONDS)
RUN_SECONDS = Histogram("shelm_run_seconds", "Time of one run", ["queue"], buckets=_SECONDS)
CALLS = Counter("shelm_calls_total", "Finished calls", ["method", "code"])


def start_metrics(listen: str) -> None:
    """Serves /metrics on HOST:PORT."""
    host, _, port = listen.rpartition(":")
    start_http_server(int(port), addr=host)


def configure_logging(service: str, level: str) -> None:
    """One line per event on standard error."""
    logging.basicConfig(level=level, format=f"%(asctime)s {service} %(levelname)s %(name)s: %(message)s", force=True)
