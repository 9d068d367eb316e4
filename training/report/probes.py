"""The results of training.probe as markdown: a table for each environment.

Failure policy: a file without one of the fields raises KeyError naming it.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from training.report.tables import grid

HEAD = ("layers", "words a frame", "looks", "episodes", "guessing", "linear", "128 hidden units")


def generated(files: Mapping[str, str]) -> list[str]:
    """Returns heading and table of each environment, sorted by name; empty without results. files: texts by name."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for _, text in sorted(files.items()):
        result = json.loads(text)
        found[result["env"]].append(result)
    return [f"## What can be read from the memory: {env}\n\n{_table(results)}" for env, results in sorted(found.items())]


def _table(results: list[dict[str, Any]]) -> str:
    rows = [
        [
            str(result["layers"]),
            str(result["k"]),
            str(result["looks"]),
            str(result["episodes"]),
            *(f"{result[name]:.2f}" for name in ("chance", "linear", "hidden")),
        ]
        for result in sorted(results, key=lambda of: (of["k"], of["layers"], of["looks"]))
    ]
    commits = Counter(result["commit"][:7] for result in results)
    named = ", ".join(f"{commit} ({count})" for commit, count in sorted(commits.items()))
    about = (
        "Share of right answers in the second half of episodes that were not learned from, a fifth of all (training.probe)."
    )
    return f"{grid(HEAD, rows)}\n\n{about} Commits: {named}."
