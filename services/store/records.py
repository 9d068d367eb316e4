"""What Redis holds of an episode -> plain values, and whether it is whole.

Contract: steps that are read are consecutive: Redis drops retained steps at the old end only, so between the oldest stored
step and the committed one nothing may be missing. Failure policy: EPISODE_DAMAGED where a step is missing in between or at
the end, or where a field or a step is not what this server writes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from agent.history import DIGEST_BYTES
from services.protocol.branches import read_stored_branch
from services.protocol.steps import read_stored_step
from services.protocol.values import CommittedStep, EpisodeState
from services.runtime.errors import ServiceError
from services.store.errors import episode_damaged
from services.store.keys import BRANCH_FIELD, STATE_FIELD, STEP_FIELD

Fields = Mapping[bytes, bytes]
Entry = tuple[bytes, Fields]  # of a stream: its id and fields
Numbered = tuple[int, CommittedStep]  # the step's number first
FIELDS = (  # of an episode's hash, in the order in which they are asked for
    *("agent", "agent_digest", "seed", "deterministic", "incarnation"),
    *("committed", "history", "length", "ended", "total_reward", "created_us", "updated_us", "archived"),
    BRANCH_FIELD,
)
FIELDS_TO_ACT = (*FIELDS, STATE_FIELD)  # the state of a policy may be large, and is needed only for the next step
_BRANCH = BRANCH_FIELD.encode()
LATEST_US = 253_402_300_800_000_000  # the end of the year 9999, where a protobuf timestamp ends


def read_state(episode_id: str, values: Fields, ttl_ms: int) -> EpisodeState:
    """The state of an episode from the fields of its hash."""
    try:
        state = EpisodeState(
            episode_id=episode_id,
            agent=values[b"agent"].decode(),
            agent_digest=values[b"agent_digest"].decode(),
            seed=int(values[b"seed"]),
            deterministic=values[b"deterministic"] == b"1",
            committed=int(values[b"committed"]),
            history_digest=values[b"history"],
            length=int(values[b"length"]),
            ended=values[b"ended"] == b"1",
            total_reward=float(values[b"total_reward"]) if b"total_reward" in values else None,
            created_us=int(values[b"created_us"]),
            updated_us=int(values[b"updated_us"]),
            ttl_ms=ttl_ms,
            # One that an earlier version began has none; its time of creation tells it from others as well.
            incarnation=values.get(b"incarnation", values[b"created_us"]).decode(),
            archived=b"archived" in values,
            policy_state=values.get(STATE_FIELD.encode(), b""),
            branch=read_stored_branch(values[_BRANCH]) if _BRANCH in values else None,
        )
        _check_ranges(state)
    except (KeyError, ValueError, DecodeError, ServiceError) as error:
        raise episode_damaged(episode_id, "its description is incomplete or cannot be read", error) from error
    return state


def _check_ranges(state: EpisodeState) -> None:
    """ValueError for numbers that no episode has and no message can hold."""
    numbers = (state.seed, state.length, state.committed + 1)
    if not all(0 <= number < 2**64 for number in numbers) or len(state.history_digest) != DIGEST_BYTES:
        raise ValueError(f"seed, length, committed step or digest out of range: {state}")
    if not all(0 <= time_us < LATEST_US for time_us in (state.created_us, state.updated_us)):
        raise ValueError(f"time out of range: {state}")


def step_of_entry(entry: bytes) -> int:
    """The step whose stream entry has this id."""
    return int(entry.partition(b"-")[0]) - 1


def read_entry(episode_id: str, entry: bytes, fields: Fields) -> Numbered:
    """A committed step from its stream entry."""
    step = step_of_entry(entry)
    try:
        return step, _checked_step(fields[STEP_FIELD.encode()])
    except Exception as error:  # protobuf raises many kinds
        raise episode_damaged(episode_id, f"step {step} cannot be read", error) from error


def read_record(episode_id: str, step: int, data: bytes) -> CommittedStep:
    """A committed step from its stored form."""
    return read_entry(episode_id, b"%d-0" % (step + 1), {STEP_FIELD.encode(): data})[1]


def _checked_step(data: bytes) -> CommittedStep:
    step = read_stored_step(data)
    if len(step.history_digest) != DIGEST_BYTES or len(step.frame_fingerprint) != DIGEST_BYTES:
        raise ValueError("a stored step without digests")
    return step


def check_whole(
    state: EpisodeState, wanted: range, limit: int | None, entries: Sequence[Entry], oldest: Sequence[Entry]
) -> None:
    """Raises EPISODE_DAMAGED unless the entries are those of the wanted steps that are committed and retained.

    limit: entries at most. oldest: the oldest entry of the stream, if it has any.
    """
    begins = step_of_entry(oldest[0][0]) if oldest else 0
    wanted = range(max(wanted.start, begins), min(wanted.stop, state.committed + 1))[:limit]
    found = [step_of_entry(entry) for entry, _ in entries]
    if found == list(wanted):
        return
    missing = next((step for step in wanted if step not in found), None)
    problem = "it has steps after the committed one" if missing is None else f"step {missing} is missing"
    raise episode_damaged(state.episode_id, problem)


def fields_of(values: Sequence[bytes | None]) -> dict[bytes, bytes]:
    """The fields of a hash from the values of `FIELDS`, or of `FIELDS_TO_ACT`."""
    return {name.encode(): value for name, value in zip(FIELDS_TO_ACT, values, strict=False) if value is not None}


def pairs(flat: Sequence[Any]) -> dict[bytes, bytes]:
    """The fields of a hash as a script returns them."""
    return dict(zip(flat[::2], flat[1::2], strict=True))
