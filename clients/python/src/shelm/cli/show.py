"""How `shelm play` displays steps: as lines, as JSON, or as a progress line with an estimate."""

from __future__ import annotations

import json
import sys
import time

from shelm.gym import Transition
from shelm.results import ActionSpace
from shelm.texts import action_json, step_line, words_json


class Lines:
    """Prints one line per step, and one before and after each episode."""

    def __init__(self, episodes: int, space: ActionSpace | None) -> None:
        """Takes the number of episodes and the action space."""
        self._episodes, self._space, self._return = episodes, space, 0.0

    def __call__(self, transition: Transition) -> None:
        """Prints one step."""
        act, head = transition.act, f"episode {transition.episode + 1}/{self._episodes}"
        if act.step == 0:
            self._return = 0.0
            print(f"{head}  {act.episode_id}")
        self._return += transition.reward
        note = "  (replayed)" if act.replayed else ""
        print(step_line(act.step, act.tokens, act.action, self._space) + note, flush=True)
        if transition.terminated or transition.truncated:
            print(f"{head}  return {self._return:.3f} in {act.step + 1} steps", flush=True)


class JsonLines:
    """Prints one JSON object per step."""

    def __init__(self, space: ActionSpace | None) -> None:
        """Takes the action space."""
        self._space = space

    def __call__(self, transition: Transition) -> None:
        """Prints one step."""
        act = transition.act
        fields = {
            "episode_id": act.episode_id,
            "step": act.step,
            "words": words_json(act.tokens),
            "action": action_json(act.action, self._space),
            "reward": transition.reward,
            "replayed": act.replayed,
        }
        print(json.dumps(fields), flush=True)


class Progress:
    """Updates a progress line on a terminal's stderr, with an estimate; prints nothing if stderr is not a terminal."""

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
