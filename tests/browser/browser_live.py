"""A live agent for the browser tests: a real Redis, the services in one process, and the inspector's own process.

Contract: `running` stops everything it has started. READER may read, ACTOR may act, BOTH may do
both; they are of one tenant.

Failure policy: what does not get ready raises `NotReady` with the end of its log.
"""

import contextlib
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shelm import Client
from shelm.gym import minigrid_env
from shelm.v1 import agent_pb2
from support.deployment import START_SECONDS, NotReady, Standalone
from support.frames import Frame
from support.gateway import Gateway, act_request
from support.process import Process, tail
from support.waiting import wait_for

from deploy.local.stack import free_port

LONG_STEPS = 2000
READER, ACTOR, BOTH = "reader-token", "actor-token", "both-token"
TOKENS = "".join(
    f"{line}\n"
    for line in (
        f"{BOTH} both act,read tenant=us",
        f"{READER} reader read tenant=us",
        f"{ACTOR} actor act tenant=us",
        "policy-token policy inner",
    )
)


@dataclass(frozen=True)
class Live:
    """What runs. url: of the page."""

    deployment: Standalone
    inspector: Process
    url: str
    token: str = ""

    def client(self) -> Client:
        """The client as users have it."""
        return Client(self.deployment.target, token=self.token or None)

    def gateway(self) -> Gateway:
        """The generated stub."""
        return Gateway(self.deployment.target, token=self.token)


@contextlib.contextmanager
def inspector(target: str, folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[tuple[Process, str]]:
    """An inspector of the API at `target`: its process and its address."""
    listen = f"127.0.0.1:{free_port()}"
    own = {"SHELM_INSPECTOR_LISTEN": listen, "SHELM_INSPECTOR_TARGET": target, **(settings or {})}
    process = Process([sys.executable, "-m", "services.inspector"], folder / "inspector.log", own)
    port = own["SHELM_INSPECTOR_LISTEN"].rpartition(":")[2]
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{url} answers", lambda: _healthy(url) or not process.alive, seconds=START_SECONDS)
        if not process.alive:
            raise NotReady(tail(process.log_path, 30))
        yield process, url
    finally:
        process.stop()


@contextlib.contextmanager
def running(folder: Path, settings: Mapping[str, str] | None = None, *, tokens: bool = False) -> Iterator[Live]:
    """Everything, started on entry and stopped on exit."""
    given = dict(settings or {})
    if tokens:
        (folder / "tokens").write_text(TOKENS)
        given["SHELM_TOKENS_FILE"] = str(folder / "tokens")
    deployment = Standalone(folder, given)
    metrics = {"SHELM_INSPECTOR_METRICS": given.get("SHELM_METRICS_LISTEN", "")}
    with deployment.running(), inspector(deployment.target, folder, metrics) as (process, url):
        yield Live(deployment, process, url, BOTH if tokens else "")


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def play_long(gateway: Gateway, name: str, frames: Sequence[Frame], steps: int) -> None:
    """A long episode over one stream; the frames repeat, so their words come from retrieval's cache."""
    gateway.create(name, deterministic=True)
    chunk = 500  # steps of one stream, which has a deadline
    for first in range(0, steps, chunk):
        numbers = range(first, min(steps, first + chunk))
        requests = (act_request(name, step, frames[step % len(frames)]) for step in numbers)
        for result in gateway.act_stream(requests):
            assert result.WhichOneof("outcome") == "response", result.status.message


def act_out(client: Client, gateway: Gateway, name: str, seed: int, *, end: bool = True) -> None:
    """One greedy episode of MiniGrid-Memory; without `end` it is left running after nine steps."""
    env = minigrid_env("MiniGrid-MemoryS11-v0")
    observation, _ = env.reset(seed=seed)
    total, done = 0.0, False
    while not done:
        act = client.act(observation, name, deterministic=True)
        observation, reward, terminated, truncated, _ = env.step(act.action)
        total, done = total + float(reward), terminated or truncated or (not end and act.step == 8)
    env.close()
    if end:
        gateway.call("EndEpisode", agent_pb2.EndEpisodeRequest(episode_id=name, total_reward=total))
