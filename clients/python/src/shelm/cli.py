"""The command `shelm`: play, memory, agents, ping.

Exit codes: 0 done; 1 failed, with one line on stderr that says what to do; 2 wrong usage; 130 interrupted. Each
command first asks the server's health, so that a wrong target fails at once; later interruptions of the server are
ridden out by the client.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from shelm import commands
from shelm.client import DEFAULT_TARGET, Client
from shelm.errors import ShelmError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        with _client(arguments) as client:
            arguments.seconds = client.ping()
            arguments.command(client, arguments)
    except (ShelmError, commands.CommandError) as error:
        print(f"shelm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `shelm memory ... | head`: the reader has enough; nothing more must be flushed to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _client(arguments: argparse.Namespace) -> Client:
    return Client(arguments.target, token=arguments.token, tls=arguments.tls, timeout=arguments.timeout)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="shelm", description="Acts with served agents and reads their memory in words.")
    names = parser.add_subparsers(required=True, metavar="COMMAND")
    common = _common()
    _add_play(names.add_parser("play", parents=[common], help="play a gymnasium environment"))
    _add_memory(names.add_parser("memory", parents=[common], help="print what an episode remembers"))
    names.add_parser("agents", parents=[common], help="list the agents").set_defaults(command=commands.agents)
    names.add_parser("ping", parents=[common], help="ask whether the server serves").set_defaults(command=commands.ping)
    return parser


def _common() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    target = os.environ.get("SHELM_TARGET") or DEFAULT_TARGET
    parser.add_argument("--target", default=target, help="host:port of the server (SHELM_TARGET; %(default)s)")
    parser.add_argument("--token", default=os.environ.get("SHELM_TOKEN"), help="bearer token; better in SHELM_TOKEN")
    parser.add_argument("--tls", action="store_true", help="encrypt; without it a token travels in clear text")
    parser.add_argument("--timeout", type=_seconds, default=10.0, metavar="SECONDS", help="for each call (%(default)s)")
    return parser


def _add_play(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--env", default="MiniGrid-MemoryS11-v0", help="gymnasium id (%(default)s)")
    parser.add_argument("--episodes", type=_count, default=10, help="how many (%(default)s)")
    parser.add_argument("--seed", type=_natural, default=0, help="of the first episode; the others count on (%(default)s)")
    parser.add_argument("--agent", default="", help="name or digest; the server's default if left out")
    parser.add_argument("--deterministic", action="store_true", help="take the most probable action instead of drawing it")
    parser.add_argument("--json", action="store_true", help="print the steps as JSON objects too")
    parser.add_argument("--quiet", action="store_true", help="print only the last line, the JSON summary")
    parser.set_defaults(command=commands.play)


def _add_memory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("episode", help="its episode_id")
    parser.add_argument("--follow", action="store_true", help="go on as words are committed, until the episode ends")
    parser.add_argument("--from", dest="from_step", type=_natural, default=0, metavar="N", help="first step (%(default)s)")
    parser.set_defaults(command=commands.memory)


def _seconds(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"expected more than 0 seconds, given {text}")
    return value


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more, given {text}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, given {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
