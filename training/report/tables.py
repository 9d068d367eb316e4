"""The generated part of docs/results/training.md as markdown.

Contract: every table ends with the definition of a score and the commits of its runs; for fewer than three runs, their
scores are given instead of an aggregate with an interval.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from training.report.measures import FEWEST, HIGHEST, SHARE, holm, interquartile_mean, interval, steps_to, welch
from training.report.plots import NAMES
from training.report.raw import Floats, Result, label
from training.study import Run

KINDS = ("drawn", "greedy")
SCORES = ["seeds", "steps", "IQM, drawn [95 %]", "IQM, greedy [95 %]", "mean, drawn / greedy", "solved, drawn / greedy"]
TRAINING = [f"steps to {SHARE}: median (each)", "steps/s"]
NONE = "-"


def methods(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Returns results without the memory variants, by method in the order of `NAMES`."""
    return by_method(result for result in results if not result.run.options)


def by_method(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Returns results by method in the order of `NAMES`."""
    found = defaultdict(list)
    for result in results:
        found[result.run.method].append(result)
    return {method: found[method] for method in NAMES if method in found}


def scores_table(found: dict[str, list[Result]], what: str = "method") -> str:
    """Returns the table of one environment with all methods, or with whatever else the runs differ in."""
    rows = [[NAMES.get(name, name), *_scores(results), *_training(results)] for name, results in found.items()]
    return _table([what, *SCORES, *TRAINING], rows, _flat(found))


def welch_table(found: dict[str, list[Result]]) -> str:
    """Returns tests of SHELM against every other method on one environment, sampled actions; empty without other methods."""
    others = {method: results for method, results in found.items() if method != "shelm"}
    if "shelm" not in found or not others:
        return ""
    own = _drawn(found["shelm"])
    tests = {method: welch(own, _drawn(results)) for method, results in others.items()}
    done = {method: test for method, test in tests.items() if test}
    corrected = dict(zip(done, holm([test.p for test in done.values()]), strict=True))
    rows = []
    for method, test in tests.items():
        counts = [NAMES[method], f"{len(own)}, {len(others[method])}"]
        if test:
            figures = [f"{test.difference:z.3f}", f"{test.t:z.2f}", f"{test.degrees:.1f}", f"{test.p:.2g}"]
            rows.append([*counts, *figures, f"{corrected[method]:.2g}"])
        else:
            few = min(len(own), len(others[method])) < FEWEST
            rows.append([*counts, "too few runs" if few else "no spread", *[NONE] * 4])
    head = ["SHELM against", "runs", "difference of means", "t", "degrees of freedom", "p", "p, Holm"]
    return _table(head, rows, _flat(found))


def alone(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Returns results without the imitation of the preset, by method."""
    return by_method(result for result in results if _alone(result.run))


def longer(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Returns results with more steps than the preset's, by method; their curves begin with the preset's."""
    return by_method(result for result in results if result.run.begins)


def _alone(run: Run) -> bool:
    return any(option.startswith("--imitation=") for option in run.options)


def variants_table(results: Sequence[Result]) -> str:
    """Returns the table of SHELM with other memories and with the preset's; empty without variants."""
    found = defaultdict(list)
    for result in results:
        if result.run.method == "shelm" and not result.run.begins and not _alone(result.run):
            found[_memory(result.settings)].append(result)
    if not any(result.run.options for result in _flat(found)):
        return ""
    rows = [
        [str(layers), "random" if random else "pretrained", words, *_scores(these), *_training(these)]
        for (random, layers, words, _), these in sorted(found.items())
    ]
    return _table(["layers", "weights", "words a frame", *SCORES, *TRAINING], rows, _flat(found))


def _memory(settings: dict[str, Any]) -> tuple[bool, int, str, int]:
    """Returns the settings in which memory variants differ: random weights, layers, words, training steps."""
    clip = Path(settings["clip"].removeprefix("file:")).parent.name
    random = settings["language_model"].startswith("random:")
    return random, settings["layers"], f"{settings['k']} ({clip})", settings["steps"]


def forgetting_table(results: Sequence[Result]) -> str:
    """Returns the table of SHELM with and without its past on the same episodes; empty without such runs."""
    own = [result for result in results if "forgetting" in result.returns and not result.run.options]
    if not own:
        return ""
    rows = []
    for result in own:
        emptied = result.returns["forgetting"]
        kept = result.returns["drawn"][: len(emptied)]
        solved = f"{_share([kept])} / {_share([emptied])}"
        rows.append([str(result.run.seed), str(len(emptied)), _number(kept.mean()), _number(emptied.mean()), solved])
    kept_scores = [fmean(result.returns["drawn"][: len(result.returns["forgetting"])]) for result in own]
    aggregates = [_aggregate(kept_scores), _aggregate([result.score("forgetting") for result in own])]
    rows.append(["all", "IQM [95 %]" if len(own) > 2 else "each", *aggregates, ""])
    head = ["seed", "episodes", "with its memory", "memory emptied before every step", "solved, with / emptied"]
    return _table(head, rows, own, kind="forgetting")


def not_run(missing: Sequence[Run]) -> str:
    """Returns the runs of the study without raw files."""
    seeds = defaultdict(list)
    for run in missing:
        seeds[run.env, label(run)].append(run.seed)
    lines = [f"- {env}, {name}: seeds {', '.join(map(str, these))}" for (env, name), these in seeds.items()]
    return "\n".join(lines) or "Nothing: every run of the study is here."


def _scores(results: list[Result]) -> list[str]:
    seeds = ", ".join(str(result.run.seed) for result in results)
    steps = _range([result.trained for result in results])
    each = [[result.score(kind) for result in results] for kind in KINDS]
    means = " / ".join(_number(fmean(scores)) for scores in each)
    return [f"{len(results)} ({seeds})", steps, *map(_aggregate, each), means, _solved(results)]


def _training(results: list[Result]) -> list[str]:
    speed = f"{median(result.trained / result.seconds for result in results):.0f}"
    if HIGHEST.get(results[0].curve_of, 1.0) is None:
        return [NONE, speed]
    each = [steps_to(result) for result in results]
    if not any(each):
        return [_steps(None), speed]
    middle = median(float("inf") if steps is None else steps for steps in each)
    return [f"{_steps(middle)} ({', '.join(_steps(steps) for steps in each)})", speed]


def _solved(results: list[Result]) -> str:
    if results[0].run.env in HIGHEST:
        return NONE
    return " / ".join(_share([result.returns[kind] for result in results]) for kind in KINDS)


def _share(returns: Sequence[Floats]) -> str:
    """Returns the fraction of episodes with a return above 0, mean over runs."""
    return f"{100 * fmean((values > 0).mean() for values in returns):.0f} %"


def _aggregate(scores: Sequence[float]) -> str:
    if len(scores) < 3:
        return ", ".join(map(_number, scores))
    low, high = interval(scores)
    return f"{_number(interquartile_mean(scores))} [{_number(low)}, {_number(high)}]"


def _steps(steps: float | None) -> str:
    return "not reached" if steps is None or steps == float("inf") else f"{steps / 1000:.0f} k"


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _number(value: float) -> str:
    return f"{value:z.3f}"


def _drawn(results: Iterable[Result]) -> list[float]:
    return [result.score("drawn") for result in results]


def _flat(found: Mapping[Any, list[Result]]) -> list[Result]:
    return [result for results in found.values() for result in results]


def _table(head: list[str], rows: list[list[str]], results: Sequence[Result], *, kind: str = "drawn") -> str:
    commits = Counter(result.settings["commit"][:7] for result in results)
    named = ", ".join(f"{commit} ({count} run{'s' if count > 1 else ''})" for commit, count in sorted(commits.items()))
    episodes = " or ".join(map(str, sorted({len(result.returns[kind]) for result in results})))
    about = f"A score is a run's mean return over {episodes} evaluation episodes. Commits: {named}."
    return f"{grid(head, rows)}\n\n{about}\n"


def between(value: float, low: float, high: float) -> str:
    """Returns a value with its interval."""
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a markdown table with a head and rows of cells."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rows])
