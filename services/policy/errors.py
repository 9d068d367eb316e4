"""The errors of steps and episodes: the rows of the step rule (docs/architecture.md#step-rule)."""

from shelm.v1 import errors_pb2
from shelm.v1.errors_pb2 import ErrorReason

from services.protocol.reasons import failure
from services.runtime.errors import ServiceError

FULL_RETRY = 10.0  # seconds; others must end or expire first
BUSY_RETRY = 0.2  # seconds; some Acts of an episode take less


def _failure(reason: ErrorReason, text: str, episode_id: str, committed: int | None = None) -> ServiceError:
    metadata = {"episode_id": episode_id}
    if committed is not None:
        metadata["committed_step"] = str(committed)
    return failure(reason, text, metadata=metadata)


def episode_not_found(episode_id: str) -> ServiceError:
    """The episode is unknown or has expired; never silently a new one."""
    text = f"episode {episode_id!r} is unknown or has expired; begin an episode with step 0"
    return _failure(errors_pb2.ERROR_REASON_EPISODE_NOT_FOUND, text, episode_id)


def step_conflict(episode_id: str, step: int, committed: int) -> ServiceError:
    """The step was committed for another frame."""
    text = f"step {step} of episode {episode_id!r} was committed for another frame; nothing changed"
    return _failure(errors_pb2.ERROR_REASON_STEP_CONFLICT, text, episode_id, committed)


def commit_conflict(episode_id: str, step: int) -> ServiceError:
    """Others took steps of the episode at the same time, again and again."""
    text = f"episode {episode_id!r} was changed by other calls while step {step} was computed; retry the same step"
    return _failure(errors_pb2.ERROR_REASON_COMMIT_CONFLICT, text, episode_id)


def step_too_old(episode_id: str, step: int, committed: int) -> ServiceError:
    """The step is committed, but its answer is not kept any more."""
    text = f"step {step} of episode {episode_id!r} is no longer retained; the committed step is {committed}"
    return _failure(errors_pb2.ERROR_REASON_STEP_TOO_OLD, text, episode_id, committed)


def step_gap(episode_id: str, step: int, committed: int) -> ServiceError:
    """A step was left out."""
    text = f"step {step} of episode {episode_id!r} cannot follow the committed step {committed}; send step {committed + 1}"
    return _failure(errors_pb2.ERROR_REASON_STEP_GAP, text, episode_id, committed)


def episode_ended(episode_id: str, committed: int) -> ServiceError:
    """No step follows after EndEpisode."""
    text = f"episode {episode_id!r} has ended after step {committed}; begin an episode of another name"
    return _failure(errors_pb2.ERROR_REASON_EPISODE_ENDED, text, episode_id, committed)


def store_full(episode_id: str) -> ServiceError:
    """Redis is nearly full, so no episode may begin."""
    text = f"episode {episode_id!r} cannot begin, because the store is nearly full; retry later"
    metadata = {"episode_id": episode_id}
    return failure(errors_pb2.ERROR_REASON_STORE_FULL, text, metadata=metadata, retry_after=FULL_RETRY)


def too_many_episodes(name: str, limit: int) -> ServiceError:
    """The tenant has as many episodes as it may."""
    text = f"episode {name!r} cannot begin, because {limit} episodes are stored already, as many as allowed; retry later"
    metadata = {"episode_id": name}
    return failure(errors_pb2.ERROR_REASON_TENANT_QUOTA, text, metadata=metadata, retry_after=FULL_RETRY)


def too_many_acts(name: str, limit: float, wait: float) -> ServiceError:
    """The tenant asks for more Acts than it may."""
    text = f"more than {limit:g} Acts a second, as many as allowed; retry after {wait:.2f} s"
    return failure(errors_pb2.ERROR_REASON_TENANT_QUOTA, text, metadata={"episode_id": name}, retry_after=wait)


def episode_busy(episode_id: str, waiting: int) -> ServiceError:
    """As many Acts of the episode wait as may."""
    text = f"{waiting} Acts of episode {episode_id!r} wait already, as many as allowed; retry after {BUSY_RETRY:.1f} s"
    metadata = {"episode_id": episode_id}
    return failure(errors_pb2.ERROR_REASON_QUEUE_FULL, text, metadata=metadata, retry_after=BUSY_RETRY)


def too_many_watchers(watchers: int) -> ServiceError:
    """As many WatchMemory calls are connected as may be."""
    text = f"{watchers} watchers are connected already; retry later"
    return failure(errors_pb2.ERROR_REASON_TOO_MANY_WATCHERS, text, retry_after=5)


def episode_exists(episode_id: str, field: str) -> ServiceError:
    """CreateEpisode was repeated with another value."""
    text = f"{field}: episode {episode_id!r} exists with another {field}"
    return _failure(errors_pb2.ERROR_REASON_EPISODE_EXISTS, text, episode_id)


def agent_mismatch(episode_id: str, agent: str, asked: str) -> ServiceError:
    """An episode keeps the agent that it began with."""
    text = f"agent: episode {episode_id!r} began with agent {agent!r} and keeps it; {asked[:64]!r} was asked for"
    return _failure(errors_pb2.ERROR_REASON_AGENT_MISMATCH, text, episode_id)


def step_not_committed(episode_id: str, step: int, committed: int) -> ServiceError:
    """Only what has been done can be explained."""
    text = f"step {step} of episode {episode_id!r} is not committed; the committed step is {committed}"
    return _failure(errors_pb2.ERROR_REASON_STEP_NOT_COMMITTED, text, episode_id, committed)


def reach_not_retained(episode_id: str, step: int, first: int, committed: int) -> ServiceError:
    """Words that the step's memory reached are gone."""
    text = f"step {step} of episode {episode_id!r} remembers words from step {first} on, which are no longer all retained"
    return _failure(errors_pb2.ERROR_REASON_STEP_TOO_OLD, text, episode_id, committed)


def frame_needed(episode_id: str, step: int) -> ServiceError:
    """The policy cannot decide again without the frame."""
    text = (
        f"the frame of step {step} of episode {episode_id!r} is not recorded here; send it as `observation`, "
        "or let the server record frames (SHELM_RECORD)"
    )
    return _failure(errors_pb2.ERROR_REASON_FRAME_NEEDED, text, episode_id)


def frame_not_recorded(episode_id: str, step: int) -> ServiceError:
    """No frame of this step, or not the one it was committed with."""
    text = f"no frame of step {step} of episode {episode_id!r} is recorded"
    return _failure(errors_pb2.ERROR_REASON_FRAME_NOT_RECORDED, text, episode_id)


def recording_off() -> ServiceError:
    """The operator has not turned it on."""
    text = "this server does not record frames; its operator turns it on with SHELM_RECORD"
    return failure(errors_pb2.ERROR_REASON_RECORDING_OFF, text)


def keeps_no_words(episode_id: str, agent: str) -> ServiceError:
    """The episode's agent has a policy alone."""
    text = f"agent {agent!r} of episode {episode_id!r} keeps no words: its memory cannot be read or explained"
    return failure(errors_pb2.ERROR_REASON_AGENT_KEEPS_NO_WORDS, text, metadata={"episode_id": episode_id, "agent": agent})


def of_commit(reason: str, episode_id: str, step: int, committed: int) -> ServiceError:
    """What a refused commit tells the client; reason as in `services.store.episodes.Refused`."""
    if reason == "NOT_FOUND":
        return episode_not_found(episode_id)
    if reason == "TOO_OLD":
        return step_too_old(episode_id, step, committed)
    if reason == "ENDED":
        return episode_ended(episode_id, committed)
    return step_gap(episode_id, step, committed)
