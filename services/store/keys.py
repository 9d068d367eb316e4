"""The Redis keys of an episode.

Two keys per episode, both with the hash tag `{episode_id}`, so that they lie in one slot of a Redis Cluster: a hash
with what is known of the episode, and a stream with one entry per committed step, whose id is `<step + 1>-0`.
"""

PREFIX = "shelm:"


def episode_key(episode_id: str) -> str:
    """The hash of an episode."""
    return f"{PREFIX}{{{episode_id}}}:episode"


def history_key(episode_id: str) -> str:
    """The stream of an episode's committed steps."""
    return f"{PREFIX}{{{episode_id}}}:history"


def deletion_key(episode_id: str) -> str:
    """Says for a while that an episode was deleted."""
    return f"{PREFIX}{{{episode_id}}}:deleted"


def probe_keys(number: int, name: str) -> list[str]:
    """Keys on which a commit is tried; no episode has them. Different numbers lie in different slots of a cluster."""
    return [f"{PREFIX}{{probe-{number}}}:{part}:{name}" for part in ("probe", "probe-history")]


def episode_of_key(key: str) -> str:
    """The reverse of `episode_key`."""
    return key.removeprefix(PREFIX + "{").removesuffix("}:episode")


def entry_id(step: int) -> str:
    """Stream entry id of a step."""
    return f"{step + 1}-0"


STEP_FIELD = "step"  # of a stream entry: a serialised shelm.v1.CommittedStep
BRANCH_FIELD = "branch"  # of the hash of a branch: a serialised shelm.internal.v1.BranchRecord
STATE_FIELD = "policy_state"  # of the hash: what a policy without words knows after the committed step
