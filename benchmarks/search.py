"""Finding episodes among many: `python -m benchmarks.search [--json FILE] [--quick]`.

Writes synthetic episodes into an archive in a folder, makes the index of it, begins others in a Redis through
`EpisodeStore`, some of which end, and starts a server on both. Then one client asks, one question after the other, through
the public API. An episode has STEPS steps of one word, drawn from WORDS words whose frequency falls as 1 / rank; half of the
archived ones succeed, and those saw `clue` twice as often.

`index` has what is stored: bytes in Redis, of the index (MEMORY USAGE of its keys) and in all, of the archive and of the
index of it, and how long that takes to make from nothing. `questions` has the times, and how many commands of Redis a
question takes (INFO commandstats; what the server does on its own is among them).
"""

import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import redis
from google.protobuf.message import Message
from shelm.v1 import agent_pb2 as pb
from shelm.v1 import agent_pb2_grpc
from tqdm import tqdm

from agent.history import extend_history
from agent.vocabulary import Word
from benchmarks.deployments import redis_server, standalone
from benchmarks.figures import percentiles_ms
from benchmarks.report import options, table, write
from services.policy.archive.archive import Archive
from services.policy.archive.index import ArchiveIndex
from services.protocol.values import CommittedStep, EpisodeState
from services.store.episodes import EpisodeStore, new_episode
from services.store.keys import INDEX
from services.store.redis import connect_redis

ARCHIVED, LIVE, ENDED, ROUNDS = 100_000, 50_000, 2_000, 30
QUICK = (600, 300, 30, 3)
STEPS, LIVE_STEPS, WORDS = 20, 3, 200
PAGE, SETTLE = 50, 600.0  # episodes; seconds
TOGETHER = 200  # episodes whose steps are committed at once
AGENTS = {"often": "a" * 64, "seldom": "b" * 64}
SELDOM = 0.01  # share of the episodes
DAY_US = 86_400_000_000
Row = dict[str, Any]
VOCABULARY = ["clue", *(f"word {rank}" for rank in range(1, WORDS))]
_SUMS = list(itertools.accumulate(1 / rank for rank in range(1, WORDS)))


def steps_of(choose: random.Random, state: EpisodeState, count: int, clues: int = 0) -> Iterator[CommittedStep]:
    """Yields steps, so many of which see `clue`."""
    history, words = state.history_digest, choose.choices(VOCABULARY[1:], cum_weights=_SUMS, k=count)
    for at in choose.sample(range(count), min(clues, count)):
        words[at] = VOCABULARY[0]
    for text in words:
        row = VOCABULARY.index(text)
        history = extend_history(history, [row])
        yield CommittedStep(
            words=(Word(row, text, 0.5),),
            action=1,
            value=0.25,
            log_prob=-0.5,
            frame_fingerprint=choose.randbytes(16),
            history_digest=history,
            time_us=time.time_ns() // 1000,
        )


def begun(choose: random.Random, name: str) -> EpisodeState:
    """Returns a new episode of one of the agents."""
    agent = "seldom" if choose.random() < SELDOM else "often"
    return new_episode(name, agent=agent, agent_digest=AGENTS[agent])


def fill_archive(archive: Archive, count: int, *, seed: int = 1) -> None:
    """Archives episodes of the last 30 days. seed: of what differs between them."""
    choose, now = random.Random(seed), time.time_ns() // 1000
    for number in tqdm(range(count), desc="archived"):
        state = begun(choose, f"run-{number % 100:02}-{number}")
        success = choose.random() < 0.5
        steps = list(steps_of(choose, state, STEPS, clues=choose.random() < (0.4 if success else 0.2)))
        created = now - DAY_US - choose.randrange(29 * DAY_US)
        archive.write(
            replace(
                state,
                committed=STEPS - 1,
                history_digest=steps[-1].history_digest,
                length=STEPS,
                ended=True,
                total_reward=float(success),
                created_us=created,
                updated_us=created + 60_000_000,
            ),
            0,
            steps,
        )


async def fill_store(url: str, count: int, ended: int) -> None:
    """Begins episodes, and ends the last of them."""
    client, choose = connect_redis(url, timeout=30), random.Random(2)
    store = EpisodeStore(client, ttl=86_400, ended_ttl=86_400, retained=10_000, archive=True)
    for first in tqdm(range(0, count, TOGETHER), desc="running", unit=f" x {TOGETHER}"):
        states = [begun(choose, f"live-{number % 100:02}-{number}") for number in range(first, min(first + TOGETHER, count))]
        taken = [list(steps_of(choose, state, LIVE_STEPS)) for state in states]
        for step in range(LIVE_STEPS):
            await store.commit_all([(state, step, steps[step]) for state, steps in zip(states, taken, strict=True)])
            states = [
                replace(state, committed=step, history_digest=steps[step].history_digest, length=step + 1, created_us=1)
                for state, steps in zip(states, taken, strict=True)
            ]
    for number in range(count - ended, count):
        await store.end(f"live-{number % 100:02}-{number}", float(number % 2))
    await client.aclose()


def index_bytes(store: Any) -> int:
    """Returns what the index takes in Redis."""
    return sum(int(store.memory_usage(key, samples=0)) for key in store.scan_iter(f"{INDEX}*"))


def folder_bytes(folder: Path, pattern: str) -> int:
    """Returns the bytes of files."""
    return sum(file.stat().st_size for file in folder.rglob(pattern))


def make_index(archive: Archive, folder: Path, count: int) -> float:
    """Makes the index of an archive; returns the seconds."""
    index, began = ArchiveIndex(archive, str(folder)), time.monotonic()
    with tqdm(total=count, desc="indexed") as bar:
        index.refresh(bar.update)
    seconds = time.monotonic() - began
    asyncio.run(index.close())
    return seconds


def questions() -> dict[str, tuple[str, Message]]:
    """Returns what is asked, by what a person would call it: method and request."""
    every = pb.EpisodeFilter

    def live(wanted: pb.EpisodeFilter) -> tuple[str, Message]:
        return "ListEpisodes", pb.ListEpisodesRequest(page_size=PAGE, filter=wanted)

    def archived(wanted: pb.EpisodeFilter) -> tuple[str, Message]:
        return "ListEpisodes", pb.ListEpisodesRequest(page_size=PAGE, filter=wanted, archived=True)

    def search(saw: Sequence[pb.SeenWord], wanted: pb.EpisodeFilter) -> tuple[str, Message]:
        return "SearchEpisodes", pb.SearchEpisodesRequest(page_size=PAGE, saw=saw, filter=wanted)

    failed, clue = pb.EPISODE_OUTCOME_FAILED, pb.SeenWord(word="clue")
    return {
        "live: the newest that run": live(every(state=pb.EPISODE_STATE_RUNNING)),
        "live: the agent of 1 %": live(every(agent="seldom")),
        "live: a reward above 0": live(every(outcome=pb.EPISODE_OUTCOME_SUCCEEDED)),
        "live: a name prefix of 1 %": live(every(name_prefix="live-07")),
        "archive: the agent of 1 %, failed": archived(every(agent="seldom", outcome=failed)),
        "saw `clue` before step 5, failed": search([pb.SeenWord(word="clue", last_step=4)], every(outcome=failed)),
        "saw two words, a name prefix of 10 %": search([clue, pb.SeenWord(word="word 20")], every(name_prefix="run-1")),
        "saw a word that nobody saw": search([pb.SeenWord(word="no such word")], every(state=pb.EPISODE_STATE_ENDED)),
        "saw `clue`, running or not": search([clue], every()),
        "compare success with failure": ("CompareOutcomes", pb.CompareOutcomesRequest()),
    }


def found_in(reply: Any) -> int:
    """Returns how many episodes a reply has, or a comparison counts."""
    return len(reply.episodes) if hasattr(reply, "episodes") else int(reply.succeeded + reply.failed)


def commands(store: Any) -> int:
    """Returns the commands that Redis has run, those within scripts as well."""
    return sum(int(one["calls"]) for one in store.info("commandstats").values())


def ask(target: str, store: Any, rounds: int) -> list[Row]:
    """Asks everything `rounds` times; returns a row for each question."""
    rows = []
    with grpc.insecure_channel(target) as channel:
        stub: Any = agent_pb2_grpc.AgentServiceStub(channel)
        for name, (method, request) in tqdm(questions().items(), desc="questions"):
            call, seconds = getattr(stub, method), []
            found, before = call(request, timeout=60), commands(store)
            for _ in range(rounds):
                began = time.perf_counter()
                call(request, timeout=60)
                seconds.append(time.perf_counter() - began)
            each = round((commands(store) - before) / rounds)
            rows.append({"question": name, "found": found_in(found), **percentiles_ms(seconds), "redis_commands": each})
    return rows


def settle(target: str, count: int, ended: int) -> float:
    """Waits until the server has archived what has ended, and its index has it; returns the seconds since the start."""
    began, wanted = time.monotonic(), pb.EpisodeFilter(name_prefix="live-")
    with grpc.insecure_channel(target) as channel:
        stub: Any = agent_pb2_grpc.AgentServiceStub(channel)
        while True:
            request = pb.ListEpisodesRequest(page_size=1000, archived=True, filter=wanted, order=pb.EPISODE_ORDER_OLDEST)
            there = 0
            while True:
                reply = stub.ListEpisodes(request, timeout=60)
                there, request.page_token = there + len(reply.episodes), reply.next_page_token
                if not request.page_token:
                    break
            if there == ended:
                return time.monotonic() - began
            if time.monotonic() - began > SETTLE:
                raise RuntimeError(f"of {ended} episodes that have ended {there} of {count} can be found in the archive")
            time.sleep(2)


def measure(folder: Path, archived: int, live: int, ended: int, rounds: int) -> dict[str, Any]:
    """Returns what is stored, and the times."""
    place, archive = folder / "archive", Archive(str(folder / "archive"))
    fill_archive(archive, archived)
    made = make_index(archive, place / "index", archived)
    stored = {"archive": folder_bytes(place, "*.gz"), "parquet": folder_bytes(place / "index", "*.parquet")}
    with redis_server(folder) as redis_at:
        asyncio.run(fill_store(redis_at[0], live, ended))
        store: Any = redis.Redis.from_url(redis_at[0])
        whole, index = int(store.info("memory")["used_memory_dataset"]), index_bytes(store)
        with standalone(folder, redis_at, {"SHELM_ARCHIVE": str(place)}) as deployment:
            settle(deployment.target, live, ended)
            rows = ask(deployment.target, store, rounds)
            resident = deployment.resident_bytes()["standalone"]
        store.close()
    return {
        "archived": archived,
        "live": live,
        "ended": ended,
        "rounds": rounds,
        "steps": STEPS,
        "index": {
            "redis_bytes_per_episode": round(index / live, 1),
            "redis_bytes_per_episode_all": round(whole / live, 1),
            "archive_bytes_per_episode": round(stored["archive"] / archived, 1),
            "parquet_bytes_per_episode": round(stored["parquet"] / archived, 1),
            "seconds_to_make": round(made, 1),
            "resident_bytes": resident,
        },
        "questions": rows,
    }


def main() -> None:
    """Runs the command."""
    parser = options(__doc__)
    given = parser.parse_args()
    archived, live, ended, rounds = QUICK if given.quick else (ARCHIVED, LIVE, ENDED, ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), archived, live, ended, given.rounds or rounds)
        print(table([result["index"]]))
        print(table(result["questions"]))
        write(result, given.json)  # first: deleting so many files takes minutes on some disks


if __name__ == "__main__":
    main()
