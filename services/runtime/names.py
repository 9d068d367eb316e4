"""Names of variables: is a SHELM_* variable one that somebody reads, or a misspelt one?

Contract: `NAMES` holds every variable that any part of the project reads, because all processes of a machine share one
environment. A name that is nearly one of them is taken for a misspelling. Other names are left alone: Kubernetes makes
variables such as SHELM_POLICY_PORT of the names of services, and users have their own.
"""

import difflib
from collections.abc import Iterable

PREFIX = "SHELM_"
NEARLY = 0.82  # of difflib's ratio: one wrong, missing or doubled letter in five, two in a long name
# fmt: off
NAMES = frozenset((
    "ADMISSION_MARK", "AGENTS", "ALLOW_ANONYMOUS", "ALLOW_CODE", "ALLOW_PLAINTEXT", "ARCHIVE", "BACKEND_CA", "CACHE",
    "CACHE_FRAMES", "CHROMIUM", "COMPRESSION", "CONNECTION_AGE", "CONNECTION_GRACE", "DEVICE", "DRY_RUN_NAMESPACE",
    "DTYPE", "ENDED_TTL", "ENGINE", "EPISODE_TTL", "HOST_SLOT_BYTES", "INSPECTOR_BRANCHES", "INSPECTOR_LISTEN",
    "INSPECTOR_MAX_VIEWERS", "INSPECTOR_METRICS", "INSPECTOR_TARGET", "INSPECTOR_TIMEOUT", "KEEPALIVE", "LISTEN",
    "LOG_FORMAT", "LOG_LEVEL", "MAX_BATCH", "MAX_BATCH_ITEMS", "MAX_EPISODE_QUEUE", "MAX_IN_FLIGHT", "MAX_LISTINGS",
    "MAX_MESSAGE_BYTES", "MAX_QUEUE", "MAX_READS", "MAX_STREAMS", "MAX_TENANT_WATCHERS", "MAX_WAIT", "MAX_WATCHERS",
    "MEMORY_LISTEN", "MEMORY_TARGET", "MESSAGE_TIMEOUT", "METRICS_LISTEN", "POLICY_CACHE_FRAMES", "PROTOS",
    "REBUILD_TIMEOUT", "RECORD", "RECORD_BYTES", "RECORD_RETENTION", "REDIS_CA", "REDIS_CERT", "REDIS_KEY",
    "REDIS_PASSWORD_FILE", "REDIS_REPLICAS", "REDIS_TIMEOUT", "REDIS_URL", "RETAINED_STEPS", "RETRIEVAL_LISTEN",
    "RETRIEVAL_TARGET", "RUN_DIR", "SEARCH_INDEX", "SLOTS", "SLOT_BYTES", "STAMPS", "STOP_GRACE", "TARGET",
    "TEST_LEROBOT", "TLS_CERT", "TLS_CLIENT_CA", "TLS_KEY", "TOKEN", "TOKENS_FILE", "TORCH_THREADS", "TRACES",
    "TRACES_RATIO", "TRITON_KEY", "TRITON_MODELS", "TRITON_TARGET", "TRITON_TIMEOUT",
))
# fmt: on


def misspelt(environment: Iterable[str]) -> dict[str, str]:
    """Variables whose names are nearly those of others, and the names that were probably meant."""
    found = {}
    for name in environment:
        rest = name.upper().removeprefix(PREFIX)
        if name.upper().startswith(PREFIX) and rest not in NAMES and (near := _near(rest)):
            found[name] = PREFIX + near
    return found


def _near(rest: str) -> str:
    return next(iter(difflib.get_close_matches(rest, NAMES, n=1, cutoff=NEARLY)), "")
