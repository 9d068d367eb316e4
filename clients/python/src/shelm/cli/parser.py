"""The arguments of every command, and their completion in a shell.

Completion is argcomplete's (extra `cli`); `shelm --print-completion bash` prints what a shell must run. Names of
episodes are asked of the server, briefly; if it does not answer at once, there are none to choose from.
"""

from __future__ import annotations

import argparse
import os
import sys
from itertools import islice
from typing import Any

from shelm.cli import bench, episodes, explain, frames, memory, play, server
from shelm.cli.values import bounded, count, natural, seconds
from shelm.client import Client
from shelm.errors import ShelmError
from shelm.settings import DEFAULT_TARGET

COMPLETE_SECONDS = 1.0
COMPLETE_EPISODES = 200


def parser() -> argparse.ArgumentParser:
    """Returns the parser; what it parses has `command`, a function of (client, arguments)."""
    parser = argparse.ArgumentParser(prog="shelm", description="Acts with served agents and reads their memory in words.")
    parser.add_argument("--print-completion", choices=["bash", "zsh", "fish"], action=_PrintCompletion)
    names = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_play, _memory, _episodes, _explain, _frames, _bench, _agents, _ping):
        add(names)
    return parser


def client_of(arguments: argparse.Namespace) -> Client:
    """Returns the client that the common arguments name."""
    return Client(arguments.target, token=arguments.token, tls=arguments.tls, timeout=arguments.timeout)


def complete(parser: argparse.ArgumentParser) -> None:
    """Answers the shell and exits, if it is the shell that asks for completions."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)


class _PrintCompletion(argparse.Action):
    """Prints the shell code of the completion, and exits."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        try:
            import argcomplete.shell_integration
        except ImportError:
            parser.exit(1, 'shelm: argcomplete is missing; pip install "shelm-client[cli]"\n')
        sys.stdout.write(argcomplete.shell_integration.shellcode([parser.prog], shell=values))
        parser.exit(0)


def _episode_names(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    target = parsed_args.target
    with Client(target, token=parsed_args.token, tls=parsed_args.tls, timeout=COMPLETE_SECONDS, retry_for=0) as client:
        try:
            names = (episode.episode_id for episode in client.list_episodes())
            return list(islice((name for name in names if name.startswith(prefix)), COMPLETE_EPISODES))
        except ShelmError:
            return []


def _common() -> argparse.ArgumentParser:
    """Returns the arguments of every command; a parser of its own for each, because commands change defaults."""
    parser = argparse.ArgumentParser(add_help=False)
    target = os.environ.get("SHELM_TARGET") or DEFAULT_TARGET
    parser.add_argument("--target", default=target, help="host:port of the server (SHELM_TARGET; %(default)s)")
    parser.add_argument("--token", default=os.environ.get("SHELM_TOKEN"), help="bearer token; better in SHELM_TOKEN")
    parser.add_argument("--tls", action="store_true", help="encrypt; without it a token travels in clear text")
    parser.add_argument("--timeout", type=seconds, default=10.0, metavar="SECONDS", help="for each call (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON, an object a line, with stable keys")
    return parser


def _play(names: Any) -> None:
    parser = names.add_parser("play", parents=[_common()], help="play a gymnasium environment")
    parser.add_argument("--env", default="MiniGrid-MemoryS11-v0", help="gymnasium id (%(default)s)")
    parser.add_argument("--episodes", type=count, default=10, help="how many (%(default)s)")
    parser.add_argument("--seed", type=natural, default=0, help="of the first episode; the others count on (%(default)s)")
    parser.add_argument("--agent", default="", help="name or digest; the server's default if left out")
    parser.add_argument("--deterministic", action="store_true", help="take the most probable action instead of drawing it")
    parser.add_argument("--quiet", action="store_true", help="print only the last line, the JSON summary")
    parser.set_defaults(command=play.play)


def _memory(names: Any) -> None:
    parser = names.add_parser("memory", parents=[_common()], help="print what an episode remembers")
    _episode(parser)
    parser.add_argument("--follow", action="store_true", help="go on as words are committed, until the episode ends")
    parser.add_argument("--from", dest="from_step", type=natural, default=0, metavar="N", help="first step (%(default)s)")
    parser.set_defaults(command=memory.memory)


def _episodes(names: Any) -> None:
    parser = names.add_parser("episodes", parents=[_common()], help="list the episodes, the last used first")
    parser.add_argument("--limit", type=count, default=20, help="how many at most (%(default)s)")
    parser.add_argument("--agent", default="", help="only those of this agent, by name or the beginning of its digest")
    parser.set_defaults(command=episodes.episodes)


def _explain(names: Any) -> None:
    parser = names.add_parser("explain", parents=[_common()], help="tell which words of the past decided a step")
    _episode(parser)
    parser.add_argument("step", type=natural, help="a committed step")
    parser.add_argument("--frame", metavar="FILE", help="the frame of that step, a PNG file; if the server recorded none")
    parser.add_argument("--max-steps", type=bounded(0, 1000), default=0, help="how many earlier steps to take away (64)")
    parser.add_argument("--top", type=count, default=10, help="rows to print in each table (%(default)s)")
    parser.set_defaults(command=explain.explain, timeout=120.0)  # it costs many runs of the memory


def _frames(names: Any) -> None:
    parser = names.add_parser("frames", parents=[_common()], help="save the recorded frames of an episode as PNG files")
    _episode(parser)
    parser.add_argument("--out", required=True, metavar="FOLDER", help="where to; made if missing")
    parser.set_defaults(command=frames.frames)


def _bench(names: Any) -> None:
    parser = names.add_parser("bench", parents=[_common()], help="load the server for some seconds and measure it")
    parser.add_argument("--episodes", type=bounded(1, 256), default=8, help="that act at once, 1..256 (%(default)s)")
    parser.add_argument(
        "--seconds", dest="duration", type=bounded(1, 600), default=10, help="how long, 1..600 (%(default)s)"
    )
    parser.add_argument("--agent", default="", help="name or digest; the server's default if left out")
    parser.set_defaults(command=bench.bench)


def _agents(names: Any) -> None:
    names.add_parser("agents", parents=[_common()], help="list the agents").set_defaults(command=server.agents)


def _ping(names: Any) -> None:
    parser = names.add_parser("ping", parents=[_common()], help="ask whether the server serves, and how fast")
    parser.add_argument(
        "--act", action="store_true", help="also act once in an episode of its own, and tell each stage's time"
    )
    parser.set_defaults(command=server.ping)


def _episode(parser: argparse.ArgumentParser) -> None:
    argument: Any = parser.add_argument("episode", help="its episode_id; `shelm episodes` lists them")
    argument.completer = _episode_names
