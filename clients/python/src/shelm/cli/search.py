"""`shelm search`: the episodes that saw some words; with --compare how those that succeeded differ from those that failed.

A JSON line of a search is that of `shelm episodes` with `seen`: the words, each with the first step that counts and saw it.
That of a comparison has succeeded, failed, words, transitions and partial, with shares as count, total, low and high.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from itertools import islice
from typing import Union

from shelm.cli.episodes import COLUMNS, fields, row
from shelm.cli.filters import filter_of
from shelm.cli.terminal import line_of_json, table
from shelm.client import Client
from shelm.results import Comparison, FoundEpisode, Share, TransitionOutcome, WordOutcome

Line = Union[WordOutcome, TransitionOutcome]


def search(client: Client, arguments: argparse.Namespace) -> None:
    """Searches or compares."""
    where = filter_of(arguments)
    if arguments.compare:
        limit = min(arguments.limit, 1000)
        _compared(client.compare_outcomes(arguments.words, not_saw=arguments.not_saw, where=where, limit=limit), arguments)
        return
    found = islice(client.search_episodes(arguments.words, not_saw=arguments.not_saw, where=where), arguments.limit)
    words = [one.word for one in arguments.words]
    if arguments.json:
        for one in found:
            line_of_json({**fields(one.episode), "seen": dict(zip(words, one.seen_steps))})
    else:
        now = datetime.now(timezone.utc)
        table((*COLUMNS, "seen at"), [[*row(one.episode, now), _seen(words, one)] for one in found])


def _seen(words: Sequence[str], found: FoundEpisode) -> str:
    return ", ".join(f"{word} {step}" for word, step in zip(words, found.seen_steps))


def _compared(comparison: Comparison, arguments: argparse.Namespace) -> None:
    if arguments.json:
        line_of_json(asdict(comparison))
        return
    print(f"{comparison.succeeded} succeeded, {comparison.failed} failed{_partly(comparison)}")
    head = ("of those that succeeded", "of those that failed")
    words = [(one.word, *_shares(one)) for one in comparison.words]
    transitions = [(f"{one.word} -> {one.next_word}", *_shares(one)) for one in comparison.transitions]
    table(("word", *head), words)
    print()
    table(("then", *head), transitions)


def _partly(comparison: Comparison) -> str:
    return "; some were not counted" if comparison.partial else ""


def _shares(one: Line) -> tuple[str, str]:
    return _share(one.of_succeeded), _share(one.of_failed)


def _share(share: Share) -> str:
    if not share.total:
        return "-"
    return f"{share.count / share.total:6.1%} [{share.low:.1%}, {share.high:.1%}] ({share.count})"
