"""The arguments of every command, and their completion in a shell.

Completion uses argcomplete (extra `cli`); `shelm --print-completion bash` prints the code that the shell must run. Episode
ids are requested from the server with a short timeout; if it does not answer, none are offered.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from shelm.cli import bench, episodes, evaluate, explain, export, frames, memory, play, search, server, shadow, whatif
from shelm.cli.edits import add_edits
from shelm.cli.filters import add_filter, seen
from shelm.cli.names import LAST
from shelm.cli.tls import add_tls, tls_of
from shelm.cli.values import bounded, count, natural, seconds, share
from shelm.client import Client
from shelm.errors import ShelmError
from shelm.gym.evaluation import out_file
from shelm.settings import DEFAULT_TARGET
from shelm.version import __version__

COMPLETE_SECONDS = 1.0
COMPLETE_NAMES = 200
FIRST_SEED = 1_000_000  # of evaluations, far from those of training
AGENT = f"agent name or digest or its beginning, or {LAST} (the server's default agent)"
EXAMPLES = {  # at the end of each --help
    "shelm": """examples:
  shelm play --episodes 1            play the environment of the server's default agent
  shelm memory @last                 the words of the episode that was used last
  shelm explain @last 11             which of them decided step 11
  eval "$(shelm --print-completion bash)"

SHELM_TARGET names the server, SHELM_TOKEN the bearer token. `shelm COMMAND --help` has examples of each command.""",
    "play": """examples:
  shelm play --episodes 1 --deterministic
  shelm play --agent minigrid-key --episodes 3 --seed 7    an agent by the beginning of its name, in its environment
  shelm play --env my_package:MyEnv-v0 --agent mine --quiet""",
    "evaluate": """examples:
  shelm evaluate --starts distinct --greedy
  shelm evaluate --env MiniGrid-MemoryS11-v0 --agent before --agent after --episodes 200 --envs 16 --out evaluation.json""",
    "memory": """examples:
  shelm memory @last
  shelm memory b5ed --from 10        an episode by the beginning of its name, `episode-` left out
  shelm memory @last --follow --json""",
    "episodes": """examples:
  shelm episodes --limit 5
  shelm episodes --agent minigrid-memory --json
  shelm episodes --failed --since 12h
  shelm episodes --archived --name run-7""",
    "search": """examples:
  shelm search ball@-4 --failed      episodes that saw `ball` up to step 4 and failed
  shelm search key ball --not door --since 7d
  shelm search --compare --agent minigrid-memory    the words and transitions in which success and failure differ""",
    "explain": """examples:
  shelm explain @last 11
  shelm explain my-episode 11 --frame step11.png --top 3""",
    "whatif": """examples:
  shelm whatif @last 11              the distribution over actions at step 11
  shelm whatif @last 11 --swap key ball
  shelm whatif @last 11 --remove 3:key --insert 3:ball --each
  shelm whatif @last 11 --agent minigrid-keycorridor""",
    "branch": """examples:
  shelm branch @last 11 my-branch --swap key ball
  shelm memory my-branch             its words; the next Act in it is step 11""",
    "frames": """examples:
  shelm frames @last --out frames""",
    "export": """examples:
  shelm export @last --out episode.mp4        frames with words, action and value below them
  shelm export @last --format csv
  shelm export b5ed 7c21 --out episodes.parquet""",
    "shadow": """examples:
  shelm shadow --agent minigrid-memory-robust @last
  shelm shadow --agent new --last 100 --tolerance 0.02    fails if more than 2 % of the actions part""",
    "bench": """examples:
  shelm bench --episodes 32 --seconds 20 --json""",
    "agents": """examples:
  shelm agents --json""",
    "ping": """examples:
  shelm ping --act --target 10.0.0.5:50051""",
}


def parser() -> argparse.ArgumentParser:
    """Returns the parser; its results have the attribute `command`, a function of (client, arguments)."""
    parser = argparse.ArgumentParser(
        prog="shelm",
        description="Act with served agents and read their memory in words.",
        epilog=EXAMPLES["shelm"],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("--print-completion", choices=["bash", "zsh", "fish"], action=_PrintCompletion)
    names = parser.add_subparsers(required=True, metavar="COMMAND")
    reading = (_memory, _episodes, _search, _explain, _whatif, _frames, _export)
    for add in (_play, _evaluate, *reading, _branch, _shadow, _bench, _agents, _ping):
        add(names)
    return parser


def client_of(arguments: argparse.Namespace) -> Client:
    """Returns a client for the common arguments."""
    return Client(arguments.target, token=arguments.token, tls=tls_of(arguments), timeout=arguments.timeout)


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
    return _names(prefix, parsed_args, lambda client: (episode.episode_id for episode in client.list_episodes()))


def _agent_names(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    return _names(prefix, parsed_args, lambda client: (agent.name for agent in client.agents()))


def _names(prefix: str, arguments: argparse.Namespace, names: Callable[[Client], Iterable[str]]) -> list[str]:
    """Returns the names of a server that begin with a prefix, and `@last`."""
    last = [LAST] if LAST.startswith(prefix) else []
    try:
        tls, target = tls_of(arguments), arguments.target
        with Client(target, token=arguments.token, tls=tls, timeout=COMPLETE_SECONDS, retry_for=0) as client:
            return [*last, *islice((name for name in names(client) if name.startswith(prefix)), COMPLETE_NAMES)]
    except ShelmError:
        return []


def _common() -> argparse.ArgumentParser:
    """Returns a new parser with the arguments of every command; each command needs its own to change defaults."""
    parser = argparse.ArgumentParser(add_help=False)
    target = os.environ.get("SHELM_TARGET") or DEFAULT_TARGET
    parser.add_argument("--target", default=target, help="host:port of the server (SHELM_TARGET; %(default)s)")
    parser.add_argument("--token", default=os.environ.get("SHELM_TOKEN"), help="bearer token; prefer SHELM_TOKEN")
    add_tls(parser)
    parser.add_argument(
        "--timeout", type=seconds, default=10.0, metavar="SECONDS", help="timeout of each call (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one object per line, with stable keys")
    return parser


def _command(names: Any, name: str, text: str) -> argparse.ArgumentParser:
    """Adds a command with the arguments of every command, and its examples."""
    form = argparse.RawDescriptionHelpFormatter
    added: argparse.ArgumentParser = names.add_parser(
        name,
        parents=[_common()],
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=EXAMPLES[name],
        formatter_class=form,
    )
    return added


def _play(names: Any) -> None:
    parser = _command(names, "play", "play a gymnasium environment")
    _env(parser)
    parser.add_argument("--episodes", type=count, default=10, help="number of episodes (%(default)s)")
    parser.add_argument("--seed", type=natural, default=0, help="seed of the first episode, then +1 for each (%(default)s)")
    _agent(parser)
    parser.add_argument("--deterministic", action="store_true", help="choose the most probable action instead of sampling")
    parser.add_argument("--quiet", action="store_true", help="print only the last line, the JSON summary")
    parser.set_defaults(command=play.play)


def _evaluate(names: Any) -> None:
    parser = _command(names, "evaluate", "compare agents on the same episodes, with intervals over distinct starts")
    _env(parser)
    agents: Any = parser.add_argument(
        "--agent", dest="agents", action="append", metavar="AGENT", help=f"{AGENT}; again for each further one"
    )
    agents.completer = _agent_names
    default = f"number of episodes of each agent ({evaluate.EPISODES}, or one from each distinct start)"
    parser.add_argument("--episodes", type=count, help=default)
    parser.add_argument("--envs", type=bounded(1, 256), default=8, help="episodes at once, 1..256 (%(default)s)")
    parser.add_argument(
        "--starts",
        choices=["seeds", "distinct"],
        default="seeds",
        help="episodes of consecutive seeds, or one from each distinct start of a MiniGrid environment (%(default)s)",
    )
    text = "seed of the first episode, then +1 for each (%(default)s)"
    parser.add_argument("--seed", type=natural, default=FIRST_SEED, help=text)
    actions = parser.add_mutually_exclusive_group()
    actions.add_argument("--sampled", dest="deterministic", action="store_false", help="sample the actions (the default)")
    actions.add_argument("--greedy", dest="deterministic", action="store_true", help="choose the most probable actions")
    parser.add_argument("--out", type=out_file, metavar="FILE", help="also write every episode: .json, or .jsonl")
    parser.set_defaults(command=evaluate.evaluate, deterministic=False)


def _memory(names: Any) -> None:
    parser = _command(names, "memory", "print what an episode remembers")
    _episode(parser)
    parser.add_argument("--follow", action="store_true", help="print words as they are committed, until the episode ends")
    parser.add_argument("--from", dest="from_step", type=natural, default=0, metavar="N", help="first step (%(default)s)")
    parser.add_argument("--without-words", action="store_true", help="also the steps of an agent that keeps no words")
    parser.set_defaults(command=memory.memory)


def _episodes(names: Any) -> None:
    parser = _command(names, "episodes", "list the episodes, most recently used first")
    parser.add_argument("--limit", type=count, default=20, help="maximum number of episodes (%(default)s)")
    parser.add_argument("--archived", action="store_true", help="list the archive instead")
    add_filter(parser).completer = _agent_names
    parser.set_defaults(command=episodes.episodes)


def _search(names: Any) -> None:
    parser = _command(names, "search", "find episodes by the words that they saw, or compare success with failure")
    text = "a word that they saw, at any step or at WORD@STEP, WORD@FIRST-LAST, WORD@-LAST, WORD@FIRST-"
    parser.add_argument("words", metavar="WORD", nargs="*", type=seen, help=text)
    text = "a word that they did not see; again for each further one"
    parser.add_argument("--not", dest="not_saw", metavar="WORD", action="append", type=seen, default=[], help=text)
    parser.add_argument("--compare", action="store_true", help="print which words and transitions differ, and how")
    text = "maximum number of episodes, or of words and transitions (%(default)s)"
    parser.add_argument("--limit", type=count, default=20, help=text)
    add_filter(parser).completer = _agent_names
    parser.set_defaults(command=search.search, timeout=30.0)  # a search waits for others of its server


def _explain(names: Any) -> None:
    parser = _command(names, "explain", "show which earlier words decided a step")
    _episode(parser)
    parser.add_argument("step", type=natural, help="number of a committed step")
    parser.add_argument("--frame", metavar="FILE", help="PNG file of the step's frame, if the server did not record it")
    parser.add_argument(
        "--max-steps", type=bounded(0, 1000), default=0, help="number of earlier steps to remove one by one (64)"
    )
    parser.add_argument("--top", type=count, default=10, help="number of rows in each table (%(default)s)")
    parser.set_defaults(command=explain.explain, timeout=120.0)  # an explanation needs many runs of the memory


def _whatif(names: Any) -> None:
    parser = _command(names, "whatif", "show what the agent would have done with another memory")
    _episode(parser)
    parser.add_argument("step", type=natural, help="number of a committed step")
    add_edits(parser)
    parser.add_argument("--each", action="store_true", help="each edit alone, instead of all of them together")
    parser.add_argument("--frame", metavar="FILE", help="PNG file of the step's frame, if the server did not record it")
    _agent(parser, "who decides instead, an agent with the same vocabulary: its name or digest or its beginning")
    parser.set_defaults(command=whatif.whatif, timeout=120.0)


def _branch(names: Any) -> None:
    parser = _command(names, "branch", "create an episode that goes on from a step of another one, with other words")
    _episode(parser)
    parser.add_argument("step", type=natural, help="the first step that it takes itself")
    parser.add_argument("name", help="of the new episode")
    add_edits(parser)
    parser.set_defaults(command=episodes.branch)


def _frames(names: Any) -> None:
    parser = _command(names, "frames", "save the recorded frames of an episode as PNG files")
    _episode(parser)
    parser.add_argument("--out", required=True, metavar="FOLDER", help="output folder; created if missing")
    parser.set_defaults(command=frames.frames)


def _export(names: Any) -> None:
    parser = _command(names, "export", "write episodes as rows, films, recordings for Rerun or a dataset of LeRobot")
    _episodes_of(parser, "+")
    formats = "jsonl, csv, parquet (extra parquet), lerobot (if installed), gif, mp4 (extra video), rrd (extra rerun)"
    parser.add_argument("--format", choices=export.FORMATS, help=f"{formats}; what --out ends in")
    text = "output file; of lerobot, and of several gif, mp4 or rrd, the folder (standard output; EPISODE.FORMAT here)"
    parser.add_argument("--out", type=Path, metavar="FILE", help=text)
    parser.add_argument(
        "--fps", type=bounded(1, 60), default=4, help="steps a second of gif, mp4 and lerobot, 1..60 (%(default)s)"
    )
    parser.set_defaults(command=export.export)


def _shadow(names: Any) -> None:
    parser = _command(names, "shadow", "compare another agent with past episodes, on their recorded frames")
    _episodes_of(parser, "*")
    _agent(parser, "the other agent: its name or digest or its beginning", required=True)
    parser.add_argument("--last", type=count, metavar="N", help="the last N that ended, of other agents, with frames")
    text = "share of parted actions, 0..1, beyond which the command fails (%(default)s)"
    parser.add_argument("--tolerance", type=share, default=0.05, metavar="SHARE", help=text)
    parser.set_defaults(command=shadow.shadows)


def _bench(names: Any) -> None:
    parser = _command(names, "bench", "measure the server under load for some seconds")
    parser.add_argument(
        "--episodes", type=bounded(1, 256), default=8, help="number of concurrent episodes, 1..256 (%(default)s)"
    )
    parser.add_argument(
        "--seconds", dest="duration", type=bounded(1, 600), default=10, help="duration, 1..600 (%(default)s)"
    )
    _agent(parser)
    parser.set_defaults(command=bench.bench)


def _agents(names: Any) -> None:
    _command(names, "agents", "list the agents").set_defaults(command=server.agents)


def _ping(names: Any) -> None:
    parser = _command(names, "ping", "check the health and response time of the server")
    parser.add_argument(
        "--act", action="store_true", help="also act once in a new episode, and print the time of each stage"
    )
    parser.set_defaults(command=server.ping)


def _episode(parser: argparse.ArgumentParser) -> None:
    text = f"episode id or its beginning, or {LAST}; `shelm episodes` lists them"
    argument: Any = parser.add_argument("episode", help=text)
    argument.completer = _episode_names


def _episodes_of(parser: argparse.ArgumentParser, number: str) -> None:
    text = f"episode ids or their beginnings, or {LAST}; `shelm episodes` lists them"
    argument: Any = parser.add_argument("episodes", metavar="EPISODE", nargs=number, help=text)
    argument.completer = _episode_names


def _env(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--env",
        default="",
        help="gymnasium id, or MODULE:ID (the first that the agent was trained for; `shelm agents --json`)",
    )


def _agent(parser: argparse.ArgumentParser, text: str = AGENT, *, required: bool = False) -> None:
    argument: Any = parser.add_argument("--agent", default="", required=required, help=text)
    argument.completer = _agent_names
