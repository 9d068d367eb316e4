"""The Redis keys of an episode, and of the index of all.

Two keys per episode, both with the hash tag `{episode_id}`, so that they lie in one slot of a Redis Cluster: a hash
with what is known of the episode, and a stream with one entry per committed step, whose id is `<step + 1>-0`. The index is a
sorted set for each tenant, agent and state, of full names by time of creation, and a set that says which there are.
"""

PREFIX = "shelm:"
INDEX = f"{PREFIX}index"  # a set of TENANT:DIGEST:AGENT, of which there are sorted sets


def episode_key(episode_id: str) -> str:
    """The hash of an episode."""
    return f"{PREFIX}{{{episode_id}}}:episode"


def history_key(episode_id: str) -> str:
    """The stream of an episode's committed steps."""
    return f"{PREFIX}{{{episode_id}}}:history"


def deletion_key(episode_id: str) -> str:
    """Says for a while that an episode was deleted."""
    return f"{PREFIX}{{{episode_id}}}:deleted"


def index_key(tenant: str, agent_digest: str, *, ended: bool) -> str:
    """The sorted set of a tenant's episodes of an agent that run, or that have ended."""
    return f"{PREFIX}index:{tenant}:{agent_digest}:{'ended' if ended else 'running'}"


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
