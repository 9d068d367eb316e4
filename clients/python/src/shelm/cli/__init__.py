"""The command `shelm`: play, evaluate, memory, episodes, explain, whatif, frames, bench, agents, ping.

Exit codes: 0 success; 1 failure, with one line on stderr that says what to do; 2 invalid arguments; 130 interrupted. Each
command first checks the server's health, so that a wrong target fails immediately; the client retries during later
interruptions. Episodes and agents may be named as `shelm.cli.names` says. With `--json` a command prints one JSON object, or
one per line for each listed item.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from shelm.cli.errors import CommandError
from shelm.cli.names import agent_named, episode_named
from shelm.cli.parser import client_of, complete, parser
from shelm.client import Client
from shelm.errors import ShelmError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code."""
    commands = parser()
    complete(commands)
    arguments = commands.parse_args(argv)
    try:
        with client_of(arguments) as client:
            arguments.seconds = client.ping()
            _resolve(client, arguments)
            arguments.command(client, arguments)
    except (ShelmError, CommandError) as error:
        print(f"shelm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `shelm memory ... | head`: the reader has closed the pipe; nothing more may be flushed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _resolve(client: Client, arguments: argparse.Namespace) -> None:
    """Replaces what was typed for an episode and an agent by their names."""
    if "episode" in arguments:
        arguments.episode = episode_named(client, arguments.episode)
    if "agent" in arguments:
        arguments.agent = agent_named(client, arguments.agent)
