"""What episodes, slots and agents take: `python -m benchmarks.capacity [--json FILE] [--quick]`.

`redis`: bytes of both keys of an episode (MEMORY USAGE) at several lengths; `per_step` is the slope between the shortest and
the longest, `per_episode` what an episode without steps would take. `slots`: bytes of one memory slot of every bundle in
both number formats, as the cache states them. `resident`: resident bytes of every process with 1, 2, ... of the shipped
agents, after a few Acts with each of them; `resident_paper`: with the bundle of the paper's sizes and default settings.
`start`: seconds from the start of a service's process until it says that it serves, with the weights' files in the cache of
the system, median of the rounds; the services start together, as `make serve` starts them, so they share the cores.

A full run takes about five minutes.
"""

import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import psutil  # type: ignore[import-untyped]
import redis
from grpc_health.v1 import health_pb2, health_pb2_grpc
from shelm import Client
from tqdm import tqdm

from agent.bundle import AgentBundle, load_bundle
from agent.engines.dtype import resolve_dtype
from agent.memory.weights import LanguageModelSpec, load_language_model
from agent.vocabulary import load_vocabulary
from benchmarks.bundles import noise, paper_bundle, small_paper_bundle
from benchmarks.deployments import BUNDLE, REPOSITORY, redis_server, three_processes
from benchmarks.rebuild import write_episode
from benchmarks.report import options, spread, table, write
from deploy.local.stack import Stack, free_port
from services.store.keys import episode_key, history_key

LENGTHS, ROUNDS, ACTS = (1, 10, 100, 1000, 10_000), 3, 5
DTYPES = ("float32", "bfloat16")
SERVICES = ("retrieval", "memory", "policy")
Row = dict[str, Any]


def shipped() -> list[AgentBundle]:
    """Returns the shipped agents, the default first."""
    folders = sorted((REPOSITORY / "models").glob("*/agent.json"), key=lambda path: path.parent.name != Path(BUNDLE).name)
    return [load_bundle(path.parent) for path in folders]


def redis_bytes(bundle: AgentBundle, lengths: Sequence[int]) -> list[Row]:
    """Returns bytes by number of steps."""
    found = []
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as (url, _):
        store: Any = redis.Redis.from_url(url)
        for steps in tqdm(lengths, desc="episodes in Redis", unit="length"):
            name = f"capacity-{uuid.uuid4().hex}"
            write_episode(url, bundle, name, steps, seed=0)
            used = sum(store.memory_usage(key, samples=0) for key in (episode_key(name), history_key(name)))
            found.append({"bundle": bundle.name, "steps": steps, "bytes": used})
        store.close()
    return found


def slope(rows: Sequence[Row]) -> dict[str, float]:
    """Returns bytes per step, and per episode without steps, from the shortest and the longest episode."""
    first, last = rows[0], rows[-1]
    per_step = (last["bytes"] - first["bytes"]) / (last["steps"] - first["steps"])
    return {"per_step": round(per_step, 1), "per_episode": round(first["bytes"] - first["steps"] * per_step, 1)}


def slot_bytes(bundle: AgentBundle) -> Iterator[Row]:
    """Yields the bytes of one slot in every number format."""
    part, k = bundle.manifest.memory, bundle.manifest.retrieval.k
    spec = LanguageModelSpec(
        kind=part.kind, source=bundle.source(part.source), layers=part.layers, window=part.window, sha256=part.sha256
    )
    for dtype in DTYPES:
        number, ids = resolve_dtype(dtype, "cpu"), load_vocabulary(bundle).token_ids
        model = load_language_model(spec, lm_token_ids=ids, tokens_per_step=k, dtype=number)
        yield {"bundle": bundle.name, "dtype": dtype, "bytes": model.new_cache(1).slot_bytes}


def resident(bundles: Sequence[AgentBundle], settings: dict[str, str]) -> Row:
    """Returns the resident bytes of every process after some Acts with each agent."""
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as redis_at:
        agents = {"SHELM_AGENTS": ",".join(str(bundle.folder) for bundle in bundles)}
        with three_processes(Path(folder), redis_at, {**settings, **agents}) as deployment:
            with Client(deployment.target, timeout=60) as client:
                for bundle in bundles:
                    size = bundle.manifest.observation
                    with client.episode(agent=bundle.name) as episode:
                        for frame in noise(ACTS):
                            episode.act(_sized(frame, size.height, size.width))
            names = [bundle.name for bundle in bundles]
            return {"bundles": len(names), "last": names[-1], **deployment.resident_bytes()}


def _sized(frame: Any, height: int, width: int) -> Any:
    rows, columns = -(-height // frame.shape[0]), -(-width // frame.shape[1])
    return frame.repeat(rows, 0).repeat(columns, 1)[:height, :width].copy()


def start_seconds(settings: dict[str, str]) -> dict[str, float]:
    """Starts the services; returns the seconds that each took until it served."""
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        url, _ = running.enter_context(redis_server(folder))
        listen = {"SHELM_LISTEN": f"127.0.0.1:{free_port()}", "SHELM_REDIS_URL": url, "SHELM_LOG_LEVEL": "WARNING"}
        stack = Stack(folder / "stack", {**listen, **settings})
        ready: dict[str, float] = {}
        addresses = {name: stack.environment[f"SHELM_{name.upper()}_LISTEN"] for name in ("retrieval", "memory")}
        addresses["policy"] = stack.target
        with watched(addresses, ready), stack:
            end = time.monotonic() + 60
            while len(ready) < len(addresses) and time.monotonic() < end:
                time.sleep(0.05)
            begun = {name: psutil.Process(stack.pid(name)).create_time() for name in SERVICES}
    return {name: ready[name] - begun[name] for name in SERVICES}


@contextmanager
def watched(addresses: dict[str, str], ready: dict[str, float]) -> Iterator[None]:
    """Notes the time, in seconds since 1970, at which each address first says that it serves."""
    stop = threading.Event()

    def watch(name: str, address: str) -> None:
        with grpc.insecure_channel(address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            while not stop.wait(0.05) and name not in ready:
                with suppress(grpc.RpcError):
                    status = stub.Check(health_pb2.HealthCheckRequest(), timeout=5, wait_for_ready=True).status
                    if status == health_pb2.HealthCheckResponse.SERVING:
                        ready[name] = time.time()

    threads = [threading.Thread(target=watch, args=pair) for pair in addresses.items()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def main() -> None:
    """Runs the command."""
    parser = options(__doc__)
    parser.add_argument("--dtype", help="SHELM_DTYPE of the services; default: theirs")
    chosen = parser.parse_args()
    settings = {"SHELM_DTYPE": chosen.dtype} if chosen.dtype else {}
    bundles, rounds = shipped(), chosen.rounds or (1 if chosen.quick else ROUNDS)
    lengths = LENGTHS[:3] if chosen.quick else LENGTHS
    result: dict[str, Any] = {"redis": redis_bytes(bundles[0], lengths)}
    result["redis_slope"] = slope(result["redis"])
    with tempfile.TemporaryDirectory() as folder:
        paper = (small_paper_bundle if chosen.quick else paper_bundle)(Path(folder))
        result["slots"] = [row for bundle in [*bundles, paper] for row in slot_bytes(bundle)]
        counts = (1, 2) if chosen.quick else range(1, 1 + len(bundles))
        result["resident"] = [resident(bundles[:count], settings) for count in tqdm(counts, desc="resident", unit="count")]
        result["resident_paper"] = resident([paper], settings)
    started = [start_seconds(settings) for _ in tqdm(range(rounds), desc="starts", unit="round")]
    result["start"] = {name: statistics.median(one[name] for one in started) for name in SERVICES}
    result["start_spread"] = {name: spread([one[name] for one in started]) for name in SERVICES}
    for part in ("redis", "slots", "resident"):
        print(table(result[part]))
    print({key: result[key] for key in ("redis_slope", "resident_paper", "start")})
    write(result, chosen.json)


if __name__ == "__main__":
    main()
