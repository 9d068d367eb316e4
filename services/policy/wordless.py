"""The computation of a step of an agent without words: one run of its policy, on the frame and the episode's state.

Contract: as services.policy.pipeline, without retrieval and memory, which such an agent never asks or waits for. The state
before a step is the one that was committed with the step before it, so whoever computes it, here or in another process,
gives the same action. Failure policy: a turn fails alone; EPISODE_DAMAGED where the state is not of the policy's size.
"""

from collections.abc import Sequence
from typing import Any

from agent.history import extend_seen
from agent.wordless.policy import Decided, Item
from services.policy.agents import WordlessAgent
from services.policy.turns import Computed, Turn, acted, unfailed
from services.runtime.stages import StageTimer
from services.store.errors import episode_damaged


async def compute_wordless(
    agent: WordlessAgent, turns: Sequence[Turn], *, deadline: float | None, timer: StageTimer
) -> list[Computed | BaseException]:
    """Computes one step in each of several episodes of one agent. deadline: of `time.monotonic`."""
    outcomes: list[Any] = [_item_or_error(agent, turn) for turn in turns]
    going = unfailed(outcomes)
    with timer.stage("policy"):
        decided = await agent.decide.put([outcomes[i] for i in going], deadline=deadline) if going else []
    for i, decision in zip(going, decided, strict=True):
        try:
            outcomes[i] = decision if isinstance(decision, BaseException) else _step(agent, turns[i], decision)
        except Exception as error:
            outcomes[i] = error
    return outcomes


def _item_or_error(agent: WordlessAgent, turn: Turn) -> Item | Exception:
    expected = agent.state_bytes if turn.step else 0
    if len(turn.state.policy_state) != expected:
        problem = f"the state of its policy has {len(turn.state.policy_state)} bytes instead of {expected}"
        return episode_damaged(turn.state.episode_id, problem)
    return turn.observation.frame[:, :, : agent.channels], turn.state.policy_state


def _step(agent: WordlessAgent, turn: Turn, decided: Decided) -> Computed:
    parameters, value, policy_state = decided
    digest = extend_seen(turn.state.history_digest, turn.observation.fingerprint)
    return acted(turn, agent.heads, parameters, value, words=(), history_digest=digest, policy_state=policy_state)
