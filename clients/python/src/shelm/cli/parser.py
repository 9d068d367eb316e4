"""The arguments of every command, and their completion in a shell.

Completion uses argcomplete (extra `cli`); `shelm --print-completion bash` prints the code that the shell must run. Episode
ids are requested from the server with a short timeout; if it does not answer, none are offered.
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
    """Returns the parser; its results have the attribute `command`, a function of (client, arguments)."""
    parser = argparse.ArgumentParser(prog="shelm", description="Act with served agents and read their memory in words.")
    parser.add_argument("--print-completion", choices=["bash", "zsh", "fish"], action=_PrintCompletion)
    names = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_play, _memory, _episodes, _explain, _frames, _bench, _agents, _ping):
        add(names)
    return parser


def client_of(arguments: argparse.Namespace) -> Client:
    """Returns a client for the common arguments."""
    return Client(arguments.target, token=arguments.token, tls=arguments.tls, timeout=arguments.timeout)


def complete(parser: argparse.ArgumentParser) -> None:
    """Prints the completions and exits, if the shell requested them."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)


class _PrintCompletion(argparse.Action):
    """Prints the completion code for a shell, and exits."""

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
    """Returns a new parser with the arguments of every command; each command needs its own to change defaults."""
    parser = argparse.ArgumentParser(add_help=False)
    target = os.environ.get("SHELM_TARGET") or DEFAULT_TARGET
    parser.add_argument("--target", default=target, help="host:port of the server (SHELM_TARGET; %(default)s)")
    parser.add_argument("--token", default=os.environ.get("SHELM_TOKEN"), help="bearer token; prefer SHELM_TOKEN")
    parser.add_argument(
        "--tls", action="store_true", help="encrypt the connection; without it, tokens are sent in clear text"
    )
    parser.add_argument(
        "--timeout", type=seconds, default=10.0, metavar="SECONDS", help="timeout of each call (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one object per line, with stable keys")
    return parser


def _play(names: Any) -> None:
    parser = names.add_parser("play", parents=[_common()], help="play a gymnasium environment")
    parser.add_argument("--env", default="MiniGrid-MemoryS11-v0", help="gymnasium id (%(default)s)")
    parser.add_argument("--episodes", type=count, default=10, help="number of episodes (%(default)s)")
    parser.add_argument("--seed", type=natural, default=0, help="seed of the first episode, then +1 for each (%(default)s)")
    parser.add_argument("--agent", default="", help="agent name or digest (the server's default agent)")
    parser.add_argument("--deterministic", action="store_true", help="choose the most probable action instead of sampling")
    parser.add_argument("--quiet", action="store_true", help="print only the last line, the JSON summary")
    parser.set_defaults(command=play.play)


def _memory(names: Any) -> None:
    parser = names.add_parser("memory", parents=[_common()], help="print what an episode remembers")
    _episode(parser)
    parser.add_argument("--follow", action="store_true", help="print words as they are committed, until the episode ends")
    parser.add_argument("--from", dest="from_step", type=natural, default=0, metavar="N", help="first step (%(default)s)")
    parser.set_defaults(command=memory.memory)


def _episodes(names: Any) -> None:
    parser = names.add_parser("episodes", parents=[_common()], help="list the episodes, most recently used first")
    parser.add_argument("--limit", type=count, default=20, help="maximum number of episodes (%(default)s)")
    parser.add_argument(
        "--agent", default="", help="list only episodes of this agent: its name or the beginning of its digest"
    )
    parser.set_defaults(command=episodes.episodes)


def _explain(names: Any) -> None:
    parser = names.add_parser("explain", parents=[_common()], help="show which earlier words decided a step")
    _episode(parser)
    parser.add_argument("step", type=natural, help="number of a committed step")
    parser.add_argument("--frame", metavar="FILE", help="PNG file of the step's frame, if the server did not record it")
    parser.add_argument(
        "--max-steps", type=bounded(0, 1000), default=0, help="number of earlier steps to remove one by one (64)"
    )
    parser.add_argument("--top", type=count, default=10, help="number of rows in each table (%(default)s)")
    parser.set_defaults(command=explain.explain, timeout=120.0)  # an explanation needs many runs of the memory


def _frames(names: Any) -> None:
    parser = names.add_parser("frames", parents=[_common()], help="save the recorded frames of an episode as PNG files")
    _episode(parser)
    parser.add_argument("--out", required=True, metavar="FOLDER", help="output folder; created if missing")
    parser.set_defaults(command=frames.frames)


def _bench(names: Any) -> None:
    parser = names.add_parser("bench", parents=[_common()], help="measure the server under load for some seconds")
    parser.add_argument(
        "--episodes", type=bounded(1, 256), default=8, help="number of concurrent episodes, 1..256 (%(default)s)"
    )
    parser.add_argument(
        "--seconds", dest="duration", type=bounded(1, 600), default=10, help="duration, 1..600 (%(default)s)"
    )
    parser.add_argument("--agent", default="", help="agent name or digest (the server's default agent)")
    parser.set_defaults(command=bench.bench)


def _agents(names: Any) -> None:
    names.add_parser("agents", parents=[_common()], help="list the agents").set_defaults(command=server.agents)


def _ping(names: Any) -> None:
    parser = names.add_parser("ping", parents=[_common()], help="check the health and response time of the server")
    parser.add_argument(
        "--act", action="store_true", help="also act once in a new episode, and print the time of each stage"
    )
    parser.set_defaults(command=server.ping)


def _episode(parser: argparse.ArgumentParser) -> None:
    argument: Any = parser.add_argument("episode", help="episode id; `shelm episodes` lists them")
    argument.completer = _episode_names
