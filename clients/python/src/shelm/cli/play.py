"""`shelm play`: episodes of a gymnasium environment, step by step.

The last line is one JSON object: env, episodes, mean_return, steps (of all episodes), acts_per_second (wall time,
environment included), replayed, distinct_words. With --json each step is one too: episode_id, step, words, action, reward,
replayed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from shelm.cli.errors import CommandError
from shelm.cli.show import JsonLines, Lines, Progress
from shelm.cli.terminal import line_of_json
from shelm.client import Client
from shelm.gym import Summary, Transition, minigrid_env
from shelm.gym import play as run
from shelm.results import ActionSpace, Discrete


def play(client: Client, arguments: argparse.Namespace) -> None:
    """Plays episodes, one line per step, and a JSON summary as the last line."""
    env = _environment(arguments.env)
    space = client.agent(arguments.agent).action_space
    try:
        summary = run(
            client,
            env,
            episodes=arguments.episodes,
            seed=arguments.seed,
            on_step=_printer(arguments, _named(space, env)),
            agent=arguments.agent,
            deterministic=arguments.deterministic or None,
        )
    finally:
        env.close()
    line_of_json(_summary(arguments.env, summary))


def _environment(env_id: str) -> Any:
    """Returns the environment; for MiniGrid and BabyAI, with their rendered partial view as observation."""
    try:
        import gymnasium
    except ImportError:
        raise CommandError('gymnasium is missing; pip install "shelm-client[gymnasium]"') from None
    try:
        return minigrid_env(env_id) if env_id.startswith(("MiniGrid-", "BabyAI-")) else gymnasium.make(env_id)
    except (gymnasium.error.Error, ImportError) as error:
        raise CommandError(f"cannot make {env_id}: {error}; choose a gymnasium id whose package is installed") from None


def _named(space: ActionSpace, env: Any) -> ActionSpace:
    """Returns the action space; discrete actions without names get those of MiniGrid's enum of actions."""
    if isinstance(space, Discrete) and not space.names:
        return Discrete(space.n, tuple(action.name for action in getattr(env.unwrapped, "actions", ())))
    return space


def _printer(arguments: argparse.Namespace, space: ActionSpace) -> Callable[[Transition], None]:
    if arguments.quiet:
        return Progress(arguments.episodes)
    return JsonLines(space) if arguments.json else Lines(arguments.episodes, space)


def _summary(env_id: str, summary: Summary) -> dict[str, Any]:
    return {
        "env": env_id,
        "episodes": len(summary.returns),
        "mean_return": round(summary.mean_return, 6),
        "steps": summary.steps,
        "acts_per_second": round(summary.acts_per_second, 2),
        "replayed": summary.replayed,
        "distinct_words": len(summary.words),
    }
