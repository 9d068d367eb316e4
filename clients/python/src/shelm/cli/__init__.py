"""The command `shelm`: play, memory, episodes, explain, frames, bench, agents, ping.

Exit codes: 0 done; 1 failed, with one line on stderr that says what to do; 2 wrong usage; 130 interrupted. Each
command first asks the server's health, so that a wrong target fails at once; later interruptions of the server are
ridden out by the client. With `--json` a command prints one JSON object, or one for each thing it lists, a line each.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from shelm.cli.errors import CommandError
from shelm.cli.parser import client_of, complete, parser
from shelm.errors import ShelmError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code."""
    commands = parser()
    complete(commands)
    arguments = commands.parse_args(argv)
    try:
        with client_of(arguments) as client:
            arguments.seconds = client.ping()
            arguments.command(client, arguments)
    except (ShelmError, CommandError) as error:
        print(f"shelm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `shelm memory ... | head`: the reader has enough; nothing more must be flushed to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
