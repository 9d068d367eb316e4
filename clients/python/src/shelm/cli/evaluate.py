"""`shelm evaluate`: agents compared on the same episodes of a gymnasium environment.

Prints a table of mean returns and solved shares with intervals that count distinct starts, and writes the episodes to
--out, as `shelm.gym.evaluation` says; `python -m training.evaluate` writes the same without a server. With --json the
content is printed instead, without the episodes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from shelm.cli.errors import CommandError
from shelm.cli.names import agent_named
from shelm.cli.play import environment, environment_of, warn_of_another
from shelm.cli.terminal import line_of_json, progress, table
from shelm.client import Client
from shelm.gym.evaluation import content, tables, without_rows, write
from shelm.gym.seeded import play_seeds
from shelm.gym.starts import distinct_starts

EPISODES = 100


def evaluate(client: Client, arguments: argparse.Namespace) -> None:
    """Plays the episodes with every agent, prints the tables, and writes the file."""
    agents = [client.agent(agent_named(client, name)) for name in arguments.agents or [""]]
    if len({agent.digest for agent in agents}) < len(agents):
        raise CommandError(f"--agent: expected different agents, given {', '.join(agent.name for agent in agents)}")
    env_id = arguments.env or environment_of(agents[0])
    for agent in agents:
        warn_of_another(env_id, agent)
    with ExitStack() as open_ones:
        environments = [environment(env_id) for _ in range(arguments.envs)]
        for env in environments:
            open_ones.callback(env.close)
        seeds = _seeds(arguments, environments[0])
        with progress(len(seeds) * len(agents), "episodes") as advance:
            played = [
                play_seeds(
                    client,
                    environments[: len(seeds)],
                    seeds,
                    on_end=advance,
                    agent=agent.digest,
                    deterministic=arguments.deterministic,
                )
                for agent in agents
            ]
    names = [{"agent": agent.name, "digest": agent.digest} for agent in agents]
    _tell(content(env_id, list(zip(names, played)), deterministic=arguments.deterministic), arguments)


def _seeds(arguments: argparse.Namespace, env: Any) -> Sequence[int]:
    if arguments.starts == "seeds":
        return range(arguments.seed, arguments.seed + (arguments.episodes or EPISODES))
    try:
        return distinct_starts(env)[: arguments.episodes]
    except ValueError as error:
        raise CommandError(f"--starts distinct: {error}") from None


def _tell(result: dict[str, Any], arguments: argparse.Namespace) -> None:
    if arguments.out:
        write(result, arguments.out)
    if arguments.json:
        line_of_json(without_rows(result))
        return
    for head, rows in tables(result):
        table(head, rows)
    if result["starts_by"] == "seed":
        print("shelm: the environment's state cannot be told: each seed counts as a start of its own", file=sys.stderr)
