"""Compares what a page shows with what a command printed.

Contract: every shown line was printed, in this order, with nothing between but where `...` is a line of its own; within a
line `...` stands for anything. Names of episodes, ports, the folder, spaces and times may differ; decimal numbers by 0.02.
"""

import re
from collections.abc import Iterator

TOLERANCE = 0.02  # processors round differently
GAP = "..."
_VARIES = {
    re.compile(r"\bepisode-[0-9a-f]{6,32}\b"): "EPISODE",
    re.compile(r"\b127\.0\.0\.1:\d+"): "ADDRESS",
    re.compile(r"(?<![\w/])/[\w./-]*/(?=\.run\b)"): "FOLDER/",
    re.compile(r"\b\d+(\.\d+)? (ms|s|min|acts|acts/s)(?!\w)"): "TIME",
    re.compile(r'(?<="acts_per_second": )[\d.]+'): "RATE",
}
_NUMBER = re.compile(r"-?\d+\.\d+")


def missing(shown: str, printed: str) -> list[str]:
    """The shown lines that were not printed where they stand."""
    lines, at, anywhere, wrong = list(_lines(printed)), 0, True, list[str]()
    for line in _lines(shown):
        if line == GAP:
            anywhere = True
            continue
        places = range(at, len(lines) if anywhere else min(at + 1, len(lines)))
        found = next((place for place in places if _same(line, lines[place])), None)
        if found is None:
            wrong.append(line)
        else:
            at, anywhere = found + 1, False
    return wrong


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        for pattern, name in _VARIES.items():
            line = pattern.sub(name, line)  # noqa: PLW2901
        if words := " ".join(line.split()):
            yield words


def _same(shown: str, printed: str) -> bool:
    numbers = _NUMBER.findall(shown)
    words = [part.split(GAP) for part in _NUMBER.split(shown)]
    pattern = r"(-?\d+\.\d+)".join(".*".join(re.escape(part) for part in parts) for parts in words)
    found = re.fullmatch(pattern, printed)
    if not found:
        return False
    return all(abs(float(a) - float(b)) <= TOLERANCE for a, b in zip(numbers, found.groups(), strict=True))
