"""Rate and p99 of the same agent behind LitServe, Ray Serve and our services: `python -m benchmarks.peers [--quick]`.

1, 16 and 64 episodes, each taking its next step as soon as the last one is answered; all servers run at once and take turns,
those that wait are idle. The same bundle, engines, number format, one thread per forward and one recorded walk, whose words
are cached after the warm-up. Each peer is measured with two settings of its batching: a batch that starts at once, and one
that waits 10 ms for more requests (the default of Ray Serve). See benchmarks.peers for what the peers do not do. `same` says
whether words and greedy actions of a whole episode were those of the plain engines. `over_best`: the median over the rounds
of the row's rate / that of the better setting of the named peer.

A server that cannot be started is named in `not_measured`, with the reason. A full run takes about 15 minutes.
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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
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


@dataclass
class Subject:
    """A server, and what its clients do in their process."""

    deployment: Deployment
    loop: Callable[..., Load]
    play: Callable[..., Answers]


@contextmanager
def peer(python: Path, name: str, wait: float, dtype: str, folder: Path) -> Iterator[Subject]:
    """Runs a peer; ends it with everything that it has started."""
    port, label = free_port(), f"{name} {1000 * wait:.0f} ms" if wait else name
    log = folder / f"{label.replace(' ', '-')}.log"
    arguments = ["--bundle", str(REPOSITORY / BUNDLE), "--port", str(port), "--dtype", dtype, "--wait", str(wait)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "RAY_USAGE_STATS_ENABLED": "0"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [python, "-m", APPS[name], *arguments], stdout=output, stderr=output, env=environment, cwd=REPOSITORY
        )
    try:
        _wait(process, port, log)
        yield Subject(
            Deployment(label, f"http://127.0.0.1:{port}/predict", {name: process.pid}), client.closed_loop, client.play
        )
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


def rows(subjects: Sequence[Subject], rounds: Sequence[dict[str, Any]], same: dict[str, bool]) -> Iterator[dict[str, Any]]:
    """Yields the medians of every server and number of episodes."""
    for episodes in dict.fromkeys(row["episodes"] for row in rounds):
        own = {
            one.deployment.name: [r for r in rounds if (r["server"], r["episodes"]) == (one.deployment.name, episodes)]
            for one in subjects
        }
        rates = {name: [row["rate"] for row in found] for name, found in own.items()}
        for name, found in own.items():
            best = {p: max((r for n, r in rates.items() if n.split()[0] == p), key=statistics.median, default=[]) for p in APPS}
            yield {
                "server": name,
                "episodes": episodes,
                "rate": statistics.median(rates[name]),
                "p50_ms": statistics.median(row["p50_ms"] for row in found),
                "p99_ms": statistics.median(row["p99_ms"] for row in found),
                "refused": sum(row["refused"] for row in found),
                "same": same[name],
                **{f"over_best_{p}": paired_ratio(rates[name], best[p]) if best[p] else None for p in APPS},
                "spread": spread(rates[name]),
            }


def main() -> None:
    """Runs the command."""
    parser = options(__doc__)
    parser.add_argument("--python", type=Path, default=REPOSITORY / ".peers/bin/python", help="of `make peers-setup`")
    parser.add_argument("--dtype", default="auto", help="number format of all servers")
    chosen = parser.parse_args()
    counts, number, seconds = ((1, 16), 1, 2.0) if chosen.quick else (EPISODES, ROUNDS, SECONDS)
    frames = record_frames(WALK)
    images: Images = [(*frame.shape[:2], frame.tobytes()) for frame in frames]  # type: ignore[misc]
    missing: dict[str, str] = {}
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        redis_at = running.enter_context(redis_server(folder))
        settings = {"SHELM_DTYPE": chosen.dtype}
        ours = [running.enter_context(start(folder, redis_at, settings)) for start in (three_processes, standalone)]
        subjects = [Subject(one, load_client.closed_loop, load_client.play) for one in ours]
        for name in APPS:
            for wait in (0.0, WAIT):
                try:
                    subjects.append(running.enter_context(peer(chosen.python, name, wait, chosen.dtype, folder)))
                except (OSError, RuntimeError) as error:
                    missing[f"{name} {wait}"] = str(error)
        pool = running.enter_context(ProcessPoolExecutor(1, get_context("spawn")))
        wanted = expected(frames, chosen.dtype)
        same = {
            one.deployment.name: pool.submit(one.play, one.deployment.target, images, WALK).result() == wanted
            for one in subjects
        }
        found = []
        cases = [(r, count, one) for r in range(number) for count in counts for one in subjects]
        for turn, count, one in tqdm(cases, unit="phase"):
            arguments = (one.deployment.target, images, count, seconds, WARM)
            work: Callable[[], Load] = lambda one=one, a=arguments: pool.submit(one.loop, *a).result()  # type: ignore[misc]  # noqa: E731
            found.append({"server": one.deployment.name, "episodes": count, "round": turn, **phase(one.deployment, work)})
    whole = list(rows(subjects, found, same))
    print(table({key: value for key, value in row.items() if key != "spread"} for row in whole))
    for name, why in missing.items():
        print(f"{name}: not measured: {why}")
    write({"dtype": chosen.dtype, "rows": whole, "rounds": found, "not_measured": missing}, chosen.json)


if __name__ == "__main__":
    main()
