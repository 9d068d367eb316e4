"""Rate and p99 of the same agent behind LitServe, Ray Serve and our services: `python -m benchmarks.peers [--quick]`.

1, 16 and 64 episodes, each taking its next step as soon as the last one is answered. The servers take turns, and one alone
runs at a time: it is started anew in every round, because some are not idle while they wait (LitServe's worker polls its
queue where a batch starts at once, and Ray has processes of its own). The same bundle, engines, number format, one thread
per forward and one recorded walk, whose words are cached after the warm-up. Each peer is measured with two settings of its
batching: a batch that starts at once, and one that waits 10 ms for more requests (the default of Ray Serve). See
benchmarks.peers for what the peers do not do. `same` says whether words and greedy actions of a whole episode were those of
the plain engines. `over_best`: the median over the rounds of the row's rate / that of the better setting of the named peer.

A server that cannot be started is named in `not_measured`, with the reason. A full run takes about 25 minutes.
"""

import contextlib
import os
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from tqdm import tqdm

from agent.bundle import load_bundle
from agent.frame import Frame
from benchmarks import load_client
from benchmarks.deployments import BUNDLE, REPOSITORY, Deployment, record_frames, redis_server, standalone, three_processes
from benchmarks.figures import paired_ratio
from benchmarks.load import phase
from benchmarks.load_client import Images, Load
from benchmarks.local_agent import LocalAgent
from benchmarks.peers import client
from benchmarks.report import options, spread, table, write
from deploy.local.stack import free_port

WALK, WAIT = 60, 0.01
EPISODES, ROUNDS, SECONDS, WARM = (1, 16, 64), 5, 8.0, 2.0
STARTED = 180.0  # seconds
APPS = {"litserve": "benchmarks.peers.litserve_app", "ray": "benchmarks.peers.ray_app"}
Answers = list[Any]
Row = dict[str, Any]


@dataclass
class Subject:
    """A running server, and what its clients do in their process."""

    deployment: Deployment
    loop: Callable[..., Load]
    play: Callable[..., Answers]


Start = Callable[[Path], AbstractContextManager[Subject]]  # takes a folder of its own


@contextmanager
def ours(start: Any, settings: dict[str, str], folder: Path) -> Iterator[Subject]:
    """Runs our services, and a Redis for them."""
    with redis_server(folder) as redis_at, start(folder, redis_at, settings) as deployment:
        yield Subject(deployment, load_client.closed_loop, load_client.play)


@contextmanager
def peer(python: Path, name: str, wait: float, dtype: str, folder: Path) -> Iterator[Subject]:
    """Runs a peer; ends it with everything that it has started."""
    port = free_port()
    log = folder / f"{name}.log"
    arguments = ["--bundle", str(REPOSITORY / BUNDLE), "--port", str(port), "--dtype", dtype, "--wait", str(wait)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "RAY_USAGE_STATS_ENABLED": "0"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [python, "-m", APPS[name], *arguments], stdout=output, stderr=output, env=environment, cwd=REPOSITORY
        )
    try:
        _wait(process, port, log)
        deployment = Deployment(name, f"http://127.0.0.1:{port}/predict", {name: process.pid})
        yield Subject(deployment, client.closed_loop, client.play)
    finally:
        _end(process)


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    end = time.monotonic() + STARTED
    request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", data=b"{}", method="POST")
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(request, timeout=5)
        except urllib.error.HTTPError as error:
            if error.code in (400, 422, 500):  # it has read the request, which has no frame
                return
        except OSError:
            pass
        time.sleep(0.3)
    raise RuntimeError(f"{log.stem} is not ready: {log.read_text(errors='replace')[-1500:]}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    family: list[Any] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(15)
    for one in [*family, process]:
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            one.kill()
    process.wait()
    psutil.wait_procs(family, 10)


def expected(frames: Sequence[Frame], dtype: str) -> Answers:
    """Returns what the plain engines answer to one episode: (vocabulary rows, action) of each step."""
    agent = LocalAgent(load_bundle(REPOSITORY / BUNDLE), dtype=dtype)
    answers = [agent.act(["one"], [frame])[0] for frame in frames]
    return [([word.row for word in one.words], one.action) for one in answers]


def starts(python: Path, dtype: str) -> dict[str, Start]:
    """Returns what starts each server, by its name in the rows."""
    settings = {"SHELM_DTYPE": dtype}
    found: dict[str, Start] = {
        "processes": partial(ours, three_processes, settings),
        "standalone": partial(ours, standalone, settings),
    }
    for name in APPS:
        for wait in (0.0, WAIT):
            found[f"{name} {1000 * wait:.0f} ms" if wait else name] = partial(peer, python, name, wait, dtype)
    return found


def visit(
    subject: Subject, pool: ProcessPoolExecutor, images: Images, counts: Sequence[int], seconds: float
) -> Iterator[Row]:
    """Measures a running server with every number of episodes."""
    target = subject.deployment.target
    for count in counts:

        def work(count: int = count) -> Load:
            return pool.submit(subject.loop, target, images, count, seconds, WARM).result()

        yield {"episodes": count, **phase(subject.deployment, work)}


def rows(rounds: Sequence[Row], same: dict[str, bool]) -> Iterator[Row]:
    """Yields the medians of every server and number of episodes; only rounds that a server went through to the end."""
    names = list(dict.fromkeys(row["server"] for row in rounds))
    for episodes in dict.fromkeys(row["episodes"] for row in rounds):
        own = {name: [row for row in rounds if (row["server"], row["episodes"]) == (name, episodes)] for name in names}
        rates = {name: [row["rate"] for row in found] for name, found in own.items()}
        for name, found in own.items():
            yield {
                "server": name,
                "episodes": episodes,
                "rate": statistics.median(rates[name]),
                "p50_ms": statistics.median(row["p50_ms"] for row in found),
                "p99_ms": statistics.median(row["p99_ms"] for row in found),
                "refused": sum(row["refused"] for row in found),
                "same": same[name],
                **{f"over_best_{peer}": over_best(rates, name, peer) for peer in APPS},
                "spread": spread(rates[name]),
            }


def over_best(rates: dict[str, list[float]], name: str, peer: str) -> float | None:
    """Returns how many times the rate of the peer's better setting a server's rate is; None without that peer."""
    settings = [found for other, found in rates.items() if other.split()[0] == peer]
    if not settings:
        return None
    best = max(settings, key=statistics.median)
    together = min(len(best), len(rates[name]))  # a server that once did not start has fewer rounds
    return paired_ratio(rates[name][:together], best[:together])


def main() -> None:
    """Runs the command."""
    parser = options(__doc__)
    parser.add_argument("--python", type=Path, default=REPOSITORY / ".peers/bin/python", help="of `make peers-setup`")
    parser.add_argument("--dtype", default="auto", help="number format of all servers")
    chosen = parser.parse_args()
    counts, number, seconds = ((1, 16), 1, 2.0) if chosen.quick else (EPISODES, ROUNDS, SECONDS)
    number = chosen.rounds or number
    frames = record_frames(WALK)
    images: Images = [(frame.shape[0], frame.shape[1], frame.tobytes()) for frame in frames]
    wanted, servers = expected(frames, chosen.dtype), starts(chosen.python, chosen.dtype)
    same, missing, found = dict[str, bool](), dict[str, str](), list[Row]()
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        for turn, (name, start) in tqdm([(turn, one) for turn in range(number) for one in servers.items()], unit="server"):
            try:
                with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, start(Path(folder)) as subject:
                    played = pool.submit(subject.play, subject.deployment.target, images, WALK).result()
                    same[name] = same.get(name, True) and played == wanted
                    measured = visit(subject, pool, images, counts, seconds)
                    found += [{"server": name, "round": turn, **row} for row in measured]
            except (OSError, RuntimeError) as error:
                missing[f"{name}, round {turn}"] = str(error)[-1500:]
            whole = list(rows(found, same))
            write({"dtype": chosen.dtype, "rows": whole, "rounds": found, "not_measured": missing}, chosen.json)
    print(table({key: value for key, value in row.items() if key != "spread"} for row in whole))
    for name, why in missing.items():
        print(f"{name}: not measured: {why}")


if __name__ == "__main__":
    main()
