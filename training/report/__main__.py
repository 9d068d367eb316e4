"""Recreates every table and plot of the training results: `python -m training.report`.

Reads the archives of docs/results/raw: the runs of training.study, the results of training.chance and training.probe, the
evaluations of the CLIP models (clip, as in clips.py; conflation), of perturbed frames (robustness, as in robustness.py), of
edited memories (word-edits, as in edits.py; what-if, as in what_if.py), of every start (traces) and other CLIPs (encoders).
Writes plots/*.svg and the part of training.md and of the pages of these archives between the two markers; the rest is
written by hand. Plots that the page before showed and this one does not are deleted. The same raw files give the same
bytes. Failure policy: raw files that contradict the study, or a page without markers, end the command with the file named.
"""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from training.archive import RAW, read
from training.chance import NAME, file_of
from training.report import (
    baselines,
    clips,
    conflation,
    degradation,
    edits,
    encoders,
    predict,
    probes,
    prompts,
    robustness,
    tables,
    traces,
    what_if,
)
from training.report.plots import learning_curves
from training.report.raw import Result, environments, evaluation, load
from training.study import Run

BEGIN = "<!-- Made by `python -m training.report` from here -->"
END = "<!-- to here -->"
PAGES = {
    "clip": clips.generated,
    "robustness": robustness.generated,
    "word-edits": edits.generated,
    "traces": traces.generated,
    "degradation": degradation.degradation,
    "zero-shot": degradation.zero_shot,
    "prompts": prompts.generated,
    "interpretability": predict.generated,
    "what-if": what_if.generated,
}  # by archive
PLOT = re.compile(r"\(plots/([\w.-]+\.svg)\)")  # in a page


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=RAW, help="folder of the archives")
    parser.add_argument("--out", type=Path, default=RAW.parent, help="folder of training.md and plots/")
    options = parser.parse_args(arguments)
    training, plots = options.out / "training.md", options.out / "plots"
    makers = {training: lambda: generated(*load(options.raw), plots, options.raw)}
    if (page := options.out / "baselines.md").exists():
        makers[page] = partial(baselines.generated, options.raw, plots)
    if (page := options.out / "encoders.md").exists():
        makers[page] = partial(encoders.generated, options.raw)
    if (page := options.out / "conflation.md").exists():
        makers[page] = partial(conflation.generated, options.raw)
    for name, tables_of in PAGES.items():
        if (page := options.out / f"{name}.md").exists():
            makers[page] = partial(_from_archive, options.raw / f"{name}.tar.xz", tables_of)
    around = {page: _around(page) for page in makers}  # raises for a page without markers before anything is written
    for name in PLOT.findall(around[training][1]):  # of an environment that may be no more
        (plots / name).unlink(missing_ok=True)
    for page, (before, _, after) in around.items():
        page.write_text(f"{before}{BEGIN}\n\n{makers[page]()}\n\n{END}{after}")


def _from_archive(archive: Path, tables_of: Callable[[Mapping[str, str]], str]) -> str:
    return tables_of(read(archive))


def generated(results: list[Result], missing: list[Run], plots: Path, raw: Path) -> str:
    """Returns the text between the markers and draws the plots. raw: folder of the archives."""
    plots.mkdir(exist_ok=True)
    found = environments([result.run for result in results])
    played = read(raw / NAME)
    heads = {env: "\n\n".join([f"## {env}", *_chance(env, played)]) for env in found}
    parts = [_environment(heads[env], [result for result in results if result.run.env == env], plots) for env in found]
    parts += probes.generated(read(raw / "probe.tar.xz"))
    return "\n\n".join([*parts, f"## Not run\n\n{tables.not_run(missing)}"])


def _chance(env: str, files: Mapping[str, str]) -> list[str]:
    """Returns a sentence about the return of random actions, if it was measured."""
    if file_of(env) not in files:
        return []
    played = evaluation(files[file_of(env)])
    mean, error = played["mean_return"], played["standard_error"]
    return [f"Random actions: mean return {mean:.3f} (standard error {error:.3f}, {len(played['returns'])} episodes)."]


def _environment(head: str, results: Sequence[Result], plots: Path) -> str:
    parts, env = [head], results[0].run.env
    file = env.replace("/", "-")
    if found := tables.methods(results):
        parts += [_curves(found, plots / f"{file}.svg"), tables.scores_table(found), tables.welch_table(found)]
    if alone := tables.alone(results):
        parts += [f"## PPO alone, without imitation: {env}", tables.scores_table(alone)]
    if longer := tables.longer(results):
        curves = _curves(longer, plots / f"{file}-longer.svg")
        parts += [f"## Trained for longer: {env}", curves, tables.scores_table(longer)]
    if variants := tables.variants_table(results):
        parts += [f"## Which memory: SHELM on {env}", variants]
    if forgetting := tables.forgetting_table(results):
        parts += [f"## Without its past: SHELM on {env}", forgetting]
    return "\n\n".join(part.strip() for part in parts if part)


def _curves(found: dict[str, list[Result]], file: Path) -> str:
    """Draws the learning curves; returns the image as markdown."""
    learning_curves(found, file)
    return f"![Learning curves on {next(iter(found.values()))[0].run.env}](plots/{file.name})"


def _around(page: Path) -> tuple[str, str, str]:
    """Returns the text before the generated part, that part as it is, and the text after it."""
    before, rest = _split(page, page.read_text(), BEGIN)
    return before, *_split(page, rest, END)


def _split(page: Path, text: str, marker: str) -> tuple[str, str]:
    before, found, after = text.partition(marker)
    if not found:
        raise ValueError(f"{page}: marker: expected {marker!r}")
    return before, after


if __name__ == "__main__":
    main()
