"""Does the time of an answer tell of another tenant's episodes? `python -m benchmarks.unknown_names`

One tenant has EPISODES episodes of two steps, with recorded frames. Another one calls the methods that name an episode: with
those names, with names that nobody has, and again with names that nobody has, as a yardstick (`control`). A round has one
call of each kind, in an order that changes at random; every name has as many letters, and none is used twice. So what a
stranger could measure is the median of the differences within the rounds: `difference_us` of theirs, `control_us` of the
second group of nobody's, each with the interval of 95 % that a bootstrap gives. A difference counts if its interval lies off
zero and beyond that of the control (`seen`).

One client, one server in one process, an archive and recordings in folders. Rows: method, calls of each kind,
theirs_ms and nobodys_ms (medians), difference_us, control_us, with low and high, seen.
"""

import random
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from shelm.v1 import agent_pb2, agent_pb2_grpc
from tqdm import tqdm

from benchmarks.deployments import record_frames, redis_server, standalone
from benchmarks.report import options, table, write

EPISODES, QUICK_EPISODES = 2000, 60
SAMPLES = 2000  # of the bootstrap
TOKENS = "theirs them act,read tenant=them\nstrange stranger act,read tenant=stranger\n"
KINDS = ("theirs", "nobodys", "control")
Call = Callable[[str], Any]


def metadata(token: str) -> tuple[tuple[str, str], ...]:
    """What a call with this token carries."""
    return (("authorization", f"Bearer {token}"),)


def requests(image: agent_pb2.Image) -> dict[str, Call]:
    """By method, what makes its request from a name."""
    return {
        "GetEpisode": lambda name: agent_pb2.GetEpisodeRequest(episode_id=name),
        "GetMemory": lambda name: agent_pb2.GetMemoryRequest(episode_id=name),
        "WatchMemory": lambda name: agent_pb2.WatchMemoryRequest(episode_id=name),
        "Act": lambda name: agent_pb2.ActRequest(episode_id=name, step=2, observation=image),
        "EndEpisode": lambda name: agent_pb2.EndEpisodeRequest(episode_id=name),
        "ExplainStep": lambda name: agent_pb2.ExplainStepRequest(episode_id=name, step=1, observation=image),
        "GetFrame": lambda name: agent_pb2.GetFrameRequest(episode_id=name, step=1),
        "DeleteEpisode": lambda name: agent_pb2.DeleteEpisodeRequest(episode_id=name),
    }


def fill(stub: Any, image: agent_pb2.Image, names: list[str]) -> None:
    """Two steps of each of their episodes."""
    for first in range(0, len(names), 200):
        for step in range(2):
            some = [
                agent_pb2.ActRequest(episode_id=name, step=step, observation=image) for name in names[first : first + 200]
            ]
            stub.ActBatch(agent_pb2.ActBatchRequest(requests=some), timeout=60, metadata=metadata("theirs"))


def answered(stub: Any, method: str, request: Any) -> float:
    """Seconds until the stranger has an answer, which must say that there is no such episode."""
    started = time.perf_counter()
    try:
        reply = getattr(stub, method)(request, timeout=60, metadata=metadata("strange"))
        known = any(True for _ in reply) if method == "WatchMemory" else getattr(reply, "deleted", True)
    except grpc.RpcError as error:
        known = error.code() is not grpc.StatusCode.NOT_FOUND
    took = time.perf_counter() - started
    if known:
        raise RuntimeError(f"{method} knows {request.episode_id!r}")
    return took


def measure(stub: Any, method: str, make: Call, names: dict[str, list[str]], choose: random.Random) -> dict[str, Any]:
    """The rounds of one method."""
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for row in zip(*(names[kind] for kind in KINDS), strict=True):
        turn = list(zip(KINDS, row, strict=True))
        choose.shuffle(turn)
        for kind, name in turn:
            seconds[kind].append(answered(stub, method, make(name)))
    return {kind: np.asarray(found) for kind, found in seconds.items()}


def interval(differences: Any) -> list[float]:
    """Median, low and high end of its interval of 95 %, in microseconds."""
    choose = np.random.default_rng(0)
    medians = [np.median(choose.choice(differences, len(differences))) for _ in range(SAMPLES)]
    found = [np.median(differences), *np.quantile(medians, [0.025, 0.975])]
    return [round(1e6 * float(one), 1) for one in found]


def summary(method: str, seconds: dict[str, Any]) -> dict[str, Any]:
    """One row."""
    theirs, control = (interval(seconds[kind] - seconds["nobodys"]) for kind in ("theirs", "control"))
    beyond = max(abs(one) for one in control)
    return {
        "method": method,
        "calls": len(seconds["theirs"]),
        "theirs_ms": round(1e3 * float(np.median(seconds["theirs"])), 3),
        "nobodys_ms": round(1e3 * float(np.median(seconds["nobodys"])), 3),
        "difference_us": theirs,
        "control_us": control,
        "seen": min(abs(theirs[1]), abs(theirs[2])) > beyond and theirs[1] * theirs[2] > 0,
    }


def main() -> None:
    """Runs the command."""
    arguments = options(__doc__).parse_args()
    count = QUICK_EPISODES if arguments.quick else EPISODES
    frame = record_frames(1)[0]
    height, width = frame.shape[:2]
    image = agent_pb2.Image(encoding=agent_pb2.ENCODING_RAW_RGB8, height=height, width=width, data=frame.tobytes())
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        place, rows = Path(folder), []
        (place / "tokens").write_text(TOKENS)
        settings = {"SHELM_TOKENS_FILE": str(place / "tokens"), "SHELM_RECORD": str(place / "frames")}
        settings["SHELM_ARCHIVE"] = str(place / "archive")
        server = stack.enter_context(standalone(place, stack.enter_context(redis_server(place)), settings))
        stub = agent_pb2_grpc.AgentServiceStub(stack.enter_context(grpc.insecure_channel(server.target)))
        choose = random.Random(0)
        digits = [f"{number:08x}" for number in choose.sample(range(2**32), 24 * count)]
        theirs = [digits.pop() for _ in range(count)]
        fill(stub, image, theirs)
        for method, make in tqdm(requests(image).items(), unit="method", disable=None):
            names = {"theirs": theirs, **{kind: [digits.pop() for _ in range(count)] for kind in KINDS[1:]}}
            rows.append(summary(method, measure(stub, method, make, names, choose)))
    print(table(rows))
    write({"episodes": count, "rows": rows}, arguments.json)


if __name__ == "__main__":
    main()
