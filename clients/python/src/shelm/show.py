"""How the command line shows steps: as lines, as JSON, or as a progress line with an estimate. Only prints."""

import json
import sys
import time
from collections.abc import Sequence

from shelm.gym import Transition
from shelm.results import Action, Token


def step_line(step: int, tokens: Sequence[Token], action: Action, names: Sequence[str]) -> str:
    """Returns a line such as `   3  doorway (0.93)  wall (0.88)  -> forward`."""
    words = "  ".join(f"{token.text} ({token.similarity:.2f})" for token in tokens)
    return f"{step:4d}  {words}  -> {action_name(action, names)}"


def action_name(action: Action, names: Sequence[str]) -> str:
    """Returns the name of a discrete action, its number if it has none, or the values of a continuous one."""
    if isinstance(action, int):
        return names[action] if action < len(names) else str(action)
    return "[" + " ".join(f"{value:.2f}" for value in action) + "]"


class Lines:
    """Prints one line per step, and one before and after each episode."""

    def __init__(self, episodes: int, names: Sequence[str]) -> None:
        """Takes the number of episodes and the names of the actions."""
        self._episodes, self._names, self._return = episodes, names, 0.0

    def __call__(self, transition: Transition) -> None:
        """Prints one step."""
        act, head = transition.act, f"episode {transition.episode + 1}/{self._episodes}"
        if act.step == 0:
            self._return = 0.0
            print(f"{head}  {act.episode_id}")
        self._return += transition.reward
        note = "  (replayed)" if act.replayed else ""
        print(step_line(act.step, act.tokens, act.action, self._names) + note, flush=True)
        if transition.terminated or transition.truncated:
            print(f"{head}  return {self._return:.3f} in {act.step + 1} steps", flush=True)


class JsonLines:
    """Prints one JSON object per step."""

    def __init__(self, names: Sequence[str]) -> None:
        """Takes the names of the actions."""
        self._names = names

    def __call__(self, transition: Transition) -> None:
        """Prints one step."""
        act = transition.act
        fields = {
            "episode_id": act.episode_id,
            "step": act.step,
            "words": [[token.text, round(token.similarity, 4)] for token in act.tokens],
            "action": action_name(act.action, self._names),
            "reward": transition.reward,
            "replayed": act.replayed,
        }
        print(json.dumps(fields), flush=True)


class Progress:
    """Keeps one line on a terminal's stderr up to date, with an estimate; silent where stderr is not a terminal."""

    def __init__(self, episodes: int) -> None:
        """Takes the number of episodes."""
        self._episodes, self._began = episodes, time.monotonic()

    def __call__(self, transition: Transition) -> None:
        """Counts one step."""
        if sys.stderr.isatty() and (transition.terminated or transition.truncated):
            done = transition.episode + 1
            left = (time.monotonic() - self._began) / done * (self._episodes - done)
            end = "\n" if done == self._episodes else ""
            print(f"\repisode {done}/{self._episodes}, about {left:.0f} s left   ", end=end, file=sys.stderr, flush=True)
