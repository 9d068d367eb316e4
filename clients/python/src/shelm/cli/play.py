"""`shelm play`: episodes of a gymnasium environment, step by step.

The last line is one JSON object: env, episodes, mean_return, steps (of all episodes), acts_per_second (wall time,
environment included), replayed, distinct_words. With --json each step is one too: episode_id, step, words, action, reward,
replayed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from shelm.cli.errors import CommandError
from shelm.cli.show import JsonLines, Lines, Progress
from shelm.cli.terminal import line_of_json
from shelm.client import Client
from shelm.gym import Summary, Transition, minigrid_env
from shelm.gym import play as run
from shelm.results import ActionSpace, Agent, Discrete

GROUP = "shelm.environments"


def play(client: Client, arguments: argparse.Namespace) -> None:
    """Plays episodes, one line per step, and a JSON summary as the last line."""
    agent = client.agent(arguments.agent)
    env_id = arguments.env or environment_of(agent)
    env, space = environment(env_id), agent.action_space
    warn_of_another(env_id, agent)
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
    line_of_json(_summary(env_id, summary))


def environment_of(agent: Agent) -> str:
    """Returns the first environment that the agent was trained for."""
    if not agent.environments:
        raise CommandError(f"agent {agent.name} does not say which environment it was trained for; give --env")
    return agent.environments[0]


def warn_of_another(env_id: str, agent: Agent) -> None:
    """Says so if the agent was not trained for the environment."""
    if agent.environments and _id(env_id) not in map(_id, agent.environments):
        made_for = ", ".join(agent.environments)
        print(f"shelm: warning: agent {agent.name} was trained for {made_for}, not for {env_id}", file=sys.stderr)


def _id(env_id: str) -> str:
    """Returns the id without the module that registers it."""
    return env_id.rpartition(":")[2]


def environment(env_id: str) -> Any:
    """Returns the environment: that of an installed package which says that it makes the ids of this beginning (entry
    points of the group `shelm.environments`), for MiniGrid and BabyAI the rendered partial view, else gymnasium's.
    """
    try:
        import gymnasium
    except ImportError:
        raise CommandError('gymnasium is missing; pip install "shelm-client[gymnasium]"') from None
    try:
        for point in _makers():
            if env_id.startswith(point.name):
                return point.load()(env_id)
        if ":" in env_id and os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())  # as `python -m` has it
        return minigrid_env(env_id) if env_id.startswith(("MiniGrid-", "BabyAI-")) else gymnasium.make(env_id)
    except (gymnasium.error.Error, ImportError, ValueError, OSError) as error:
        raise CommandError(f"cannot make {env_id}: {error}; choose a gymnasium id whose package is installed") from None


def _makers() -> Iterable[EntryPoint]:
    """Returns what installed packages offer: functions of an id, named by the beginning of the ids that they make."""
    found: Any = entry_points()
    points: Iterable[EntryPoint] = found.select(group=GROUP) if hasattr(found, "select") else found.get(GROUP, ())
    return points  # Python 3.9 gives a dict


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
