"""Which episodes a command is about, as people type it: options for the filter, and words with the steps that count.

`ball` is the word at any step, `ball@-4` up to step 4, `ball@5-` from step 5 on, `ball@5` at step 5, `ball@2-4` in between.
A time is a date, a date with a time (ISO 8601), or how long ago it was: `90s`, `30min`, `12h`, `7d`.

Failure policy: argparse prints what was expected and exits with status 2.
"""

from __future__ import annotations

import argparse
import re
from datetime import datetime, timedelta, timezone
from typing import Any

from shelm.filters import EpisodeFilter, Seen

_STEPS = re.compile(r"(.+)@(?:(\d+)|(\d*)-(\d*))", re.DOTALL)
_AGO = re.compile(r"(\d+(?:\.\d+)?)(s|min|h|d)")
_UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days"}


def add_filter(parser: argparse.ArgumentParser) -> Any:
    """Adds the options; returns that of the agent, for its completion."""
    agent = parser.add_argument(
        "--agent", default="", help="only those of this agent: its name or the beginning of its digest"
    )
    state = parser.add_mutually_exclusive_group()
    state.add_argument("--running", dest="ended", action="store_false", default=None, help="only those that run")
    state.add_argument("--ended", dest="ended", action="store_true", help="only those that have ended")
    outcome = parser.add_mutually_exclusive_group()
    text = "only those whose total reward is above --success-above"
    outcome.add_argument("--succeeded", dest="succeeded", action="store_true", default=None, help=text)
    outcome.add_argument("--failed", dest="succeeded", action="store_false", help="only those whose total reward is not")
    parser.add_argument("--success-above", type=float, default=0.0, metavar="REWARD", help="(%(default)s)")
    parser.add_argument("--reward-least", type=float, metavar="REWARD", help="least total reward")
    parser.add_argument("--reward-most", type=float, metavar="REWARD", help="greatest total reward")
    parser.add_argument(
        "--since", type=time, metavar="TIME", help="created since then: a date, ISO 8601, or 30min, 12h, 7d ago"
    )
    parser.add_argument("--until", type=time, metavar="TIME", help="created before then")
    parser.add_argument("--name", default="", metavar="PREFIX", help="how their names begin")
    return agent


def filter_of(arguments: argparse.Namespace) -> EpisodeFilter:
    """Returns the filter of the options."""
    return EpisodeFilter(
        agent=arguments.agent,
        ended=arguments.ended,
        created_since=arguments.since,
        created_until=arguments.until,
        reward_least=arguments.reward_least,
        reward_most=arguments.reward_most,
        name_prefix=arguments.name,
        succeeded=arguments.succeeded,
        success_above=arguments.success_above,
    )


def seen(text: str) -> Seen:
    """Returns a word with the steps that count."""
    found = _STEPS.fullmatch(text)
    if not found or (found[2] is None and not found[3] and not found[4]):
        return Seen(text)
    word, only, first, last = found.groups()
    if only:
        return Seen(word, int(only), int(only))
    return Seen(word, int(first or 0), int(last) if last else None)


def time(text: str) -> datetime:
    """Returns a time; one without a zone is in the zone of this machine."""
    if ago := _AGO.fullmatch(text):
        return datetime.now(timezone.utc) - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
    try:
        return datetime.fromisoformat(text).astimezone(timezone.utc)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected ISO 8601, or 90s, 30min, 12h, 7d ago, given {text}") from None
