"""What each command of `shelm` does and prints. Raises ShelmError or CommandError; the caller turns them into one line.

The last line of `play` is one JSON object: env, episodes, mean_return, steps (of all episodes), acts_per_second (wall time,
environment included), replayed, distinct_words.
"""

import argparse
import json
from collections.abc import Callable
from typing import Any

from shelm.client import Client
from shelm.errors import AgentNotFound
from shelm.gym import Summary, Transition, minigrid_env
from shelm.gym import play as run
from shelm.results import ActionSpace, Discrete
from shelm.show import JsonLines, Lines, Progress, space_text, step_line


class CommandError(Exception):
    """The command cannot run; the text says what to do."""


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
    print(_summary(arguments.env, summary), flush=True)


def memory(client: Client, arguments: argparse.Namespace) -> None:
    """Prints the words of an episode, one line per step; a star marks what attention can still reach."""
    space = _space_in(client, arguments.episode)
    read = client.watch_memory if arguments.follow else client.memory
    for step in read(arguments.episode, arguments.from_step):
        mark = "*" if step.in_window else " "
        print(f"{mark} {step_line(step.step, step.tokens, step.action, space)}", flush=True)


def agents(client: Client, arguments: argparse.Namespace) -> None:
    """Prints the agents, one line each, a star before the default."""
    for agent in client.agents():
        mark = "*" if agent.default else " "
        shape = "x".join(map(str, agent.observation_shape))
        space = space_text(agent.action_space)
        size = f"{agent.vocabulary_size} words, window {agent.window}"
        print(f"{mark} {agent.name}  {agent.digest[:12]}  {shape}  {space}  {size}  {agent.description}")


def ping(client: Client, arguments: argparse.Namespace) -> None:
    """Prints that the server serves, and how long it took to say so."""
    print(f"{arguments.target} serves ({arguments.seconds * 1000:.1f} ms)")


def _space_in(client: Client, episode_id: str) -> ActionSpace | None:
    """Returns the action space of an episode's agent, None if that agent is served no more; raises EpisodeNotFound."""
    digest = client.get_episode(episode_id).agent_digest
    try:
        return client.agent(digest).action_space
    except AgentNotFound:
        return None


def _environment(env_id: str) -> Any:
    """Returns the environment; MiniGrid and BabyAI with their rendered partial view."""
    try:
        import gymnasium
    except ImportError:
        raise CommandError('gymnasium is missing; pip install "shelm-client[gymnasium]"') from None
    try:
        return minigrid_env(env_id) if env_id.startswith(("MiniGrid-", "BabyAI-")) else gymnasium.make(env_id)
    except (gymnasium.error.Error, ImportError) as error:
        raise CommandError(f"cannot make {env_id}: {error}; choose a gymnasium id whose package is installed") from None


def _named(space: ActionSpace, env: Any) -> ActionSpace:
    """Returns the space; discrete actions without names get those that MiniGrid keeps in an enum."""
    if isinstance(space, Discrete) and not space.names:
        return Discrete(space.n, tuple(action.name for action in getattr(env.unwrapped, "actions", ())))
    return space


def _printer(arguments: argparse.Namespace, space: ActionSpace) -> Callable[[Transition], None]:
    if arguments.quiet:
        return Progress(arguments.episodes)
    return JsonLines(space) if arguments.json else Lines(arguments.episodes, space)


def _summary(env_id: str, summary: Summary) -> str:
    return json.dumps(
        {
            "env": env_id,
            "episodes": len(summary.returns),
            "mean_return": round(summary.mean_return, 6),
            "steps": summary.steps,
            "acts_per_second": round(summary.acts_per_second, 2),
            "replayed": summary.replayed,
            "distinct_words": len(summary.words),
        }
    )
