"""The commands of the pages of docs/results, run with `--quick`, and their results read by what makes the page's tables.

Each group of commands runs in a folder of its own, where `runs` and `docs/results/raw` are empty. What a page names and is
not run here says why.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.process import REPOSITORY, environment_with

from training import archive
from training.chance import NAME
from training.report import clips, conflation, edits, encoders, predict, probes, prompts, robustness, tables, traces, what_if
from training.report.raw import evaluation, load

PAGES = sorted((REPOSITORY / "docs/results").glob("*.md"))
NAMED = re.compile(r"python -m ((?:training|benchmarks)[\w.]*)")
S11 = "MiniGrid-MemoryS11-v0"
BUNDLE, DOORS, SIGNS = (f"models/{name}" for name in ("minigrid-memory", "minigrid-redbluedoors", "miniworld-signcolour"))
SECONDS = 300.0  # of one command
AGENT = ["--bundle", BUNDLE, "--env", S11]
WITHOUT_QUICK = {  # what has no figures of its own
    "training.archive": "packs files",
    "training.sheet": "asks people",
    "training.report": "makes the tables",
    "training.bundle": "makes a bundle of a run",
    "training.ppo": "training.study trains with it",
    "training.clip.exchange": "makes a bundle of a bundle",
    "benchmarks.endurance.page": "makes the tables",
    "training.clip.pictures.train": "its pictures are a Debian package",
    "training.clip.pictures.evaluate": "its pictures are a Debian package",
    "benchmarks.act": "is no more",
}
Command = tuple[str, list[str]]
Read = Callable[[], str]  # the page's tables


def files(**names: str) -> dict[str, str]:
    """Texts by the names that they have in the archive."""
    return {f"{name}.json": Path("runs", file).read_text() for name, file in names.items()}


def clip_tables() -> str:
    shipped = archive.read(REPOSITORY / "docs/results/raw/clip.tar.xz")["pictures.json"]
    found = files(minigrid="minigrid.json", looks="looks.json", world="clip-world/evaluation.json")
    return clips.generated({**found, "pictures.json": shipped})


def study_tables() -> str:
    [run] = Path("runs").glob("quick-*")
    texts = {f"{run.name.removeprefix('quick-')}/{file.name}": file.read_text() for file in run.glob("*.json*")}
    archive.add(Path("docs/results/raw/obstacles.tar.xz"), texts)
    [result] = load(Path("docs/results/raw"))[0]
    chance = archive.read(Path("runs/quick") / NAME)
    assert {evaluation(text)["method"] for text in chance.values()} == {"random"}
    return tables.scores_table({"cnn": [result]}) + probes.generated(files(probe="probe.json"))[0]


def evaluation_row() -> str:
    found = evaluation(Path("runs/evaluation.json").read_text())
    return f"| {found['mean_return']} | {len(found['returns'])} |"


def of_benchmark(file: str, *keys: str) -> Read:
    """Reads the keys that the page's table shows of a benchmark's file."""
    return lambda: "|" + "|".join(str(json.loads(Path(file).read_text())[key]) for key in keys)


def encoder_tables() -> str:
    raw = Path("docs/results/raw")
    texts = {
        f"{name}/measured.json": Path("runs/encoders", name, "measured.json").read_text() for name in ("shipped", "resnet")
    }
    archive.add(raw / "encoders.tar.xz", texts)
    return encoders.generated(raw)


RUNS: dict[str, tuple[Sequence[Command], Read]] = {
    "word-edits": (
        [("training.word_edits", [*AGENT, "--out", "runs/S11.json"])],
        lambda: edits.generated(files(S11="S11.json")),
    ),
    "traces": (
        [("training.traces", [*AGENT, "--out", "runs/S11.json"])],
        lambda: traces.generated(files(**{"before-S11": "S11.json"})),
    ),
    "prompts": (
        [("training.clip.prompts", ["--bundle", BUNDLE, "--play", S11, "--out", "runs/memory.json"])],
        lambda: prompts.generated(files(memory="memory.json")),
    ),
    "interpretability": (
        [("training.predict", [*AGENT, "--out", "runs/S11.json"])],
        lambda: predict.generated(files(S11="S11.json")),
    ),
    "encoders": (
        [("training.clip.encoders", ["--only", "shipped", "resnet", "--out", "runs/encoders"])],
        encoder_tables,
    ),
    "conflation": (
        [("training.clip.conflation", ["--bundle", DOORS, "--env", S11, "--out", "runs/doors.json"])],
        lambda: conflation.pairs(files(doors="doors.json")),
    ),
    "robustness": (
        [
            ("training.robustness", [*AGENT, "--out", "runs/before.json"]),
            ("training.clip.robust", ["--out", "runs/robust"]),
            ("training.clip.floor", [*AGENT, "--out", "runs/floor.json"]),
            ("training.clip.evaluate_perturbed", ["--bundle", BUNDLE, DOORS, "--out", "runs/words.json"]),
            (
                "training.clip.evaluate_perturbed",
                ["--bundle", BUNDLE, "--filter", "median", "--out", "runs/filters.json"],
            ),
        ],
        lambda: robustness.generated(
            files(
                **{
                    "before-S11": "before.json",
                    "after-words": "words.json",
                    "filters": "filters.json",
                    "floor-one": "floor.json",
                }
            )
        ),
    ),
    "clip": (
        [
            *(
                (f"training.clip.{name}", [*options, "--out", f"runs/{out}"])
                for name, bundle, out in (("evaluate", BUNDLE, "minigrid.json"), ("evaluate_looks", DOORS, "looks.json"))
                for options in [["--clip", f"file:{bundle}/clip", "--vocabulary", f"{bundle}/vocabulary.safetensors"]]
            ),
            ("training.clip.looks", ["--out", "runs/clip-looks"]),
            ("training.clip.world.train", ["--out", "runs/clip-world"]),
            ("training.clip.world.evaluate", ["--out", "runs/clip-world"]),
        ],
        clip_tables,
    ),
    "training": (
        [
            ("training.study", []),
            ("training.chance", ["--only", "MiniGrid-Dynamic*"]),
            ("training.probe", ["--env", "MiniWorld-SignColourTraining-v0", "--set", "looks=1", "--out", "runs/probe.json"]),
        ],
        study_tables,
    ),
    "minigrid-memory": (
        [("training.evaluate", [*AGENT, "--out", "runs/evaluation.json"])],
        evaluation_row,
    ),
    "explain": (
        [("benchmarks.explain", ["--out", "runs/explain.json"])],
        of_benchmark("runs/explain.json", "figures", "episodes"),
    ),
    "what-if": (
        [("benchmarks.what_if", ["--out", "runs/what-if.json"])],
        lambda: what_if.generated(files(**{"what-if": "what-if.json"})),
    ),
    "inspector": (
        [("benchmarks.inspector", ["--out", "runs/inspector.json"])],
        of_benchmark("runs/inspector.json", "phases"),
    ),
    "hostile-input": (
        [("benchmarks.hostile_png", ["--json", "runs/png.json"])],
        of_benchmark("runs/png.json", "rows"),
    ),
    "load": (
        [
            *(
                (f"benchmarks.{name}", ["--json", f"runs/{name}.json"])
                for name in ("crowding", "unknown_names", "month", "endurance")
            ),
        ],
        of_benchmark("runs/crowding.json", "rows"),
    ),
}
LONG = ["prompts", "robustness", "clip", "training", "explain", "inspector", "hostile-input", "load"]
# These are run by tests/unit/training too, which also reads their results.
LONG += ["traces", "interpretability"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_the_page_is_run_quickly_or_says_why_not(page: Path) -> None:
    run = {module for commands, _ in RUNS.values() for module, _ in commands}
    assert set(NAMED.findall(page.read_text())) <= run | set(WITHOUT_QUICK)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [pytest.param(one, marks=[pytest.mark.long] * (one in LONG)) for one in RUNS])
def test_the_commands_of_a_page_run_quickly_and_its_tables_read_the_results(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models").symlink_to(REPOSITORY / "models")
    Path("runs").mkdir()
    if page == "training":  # whose probe takes the CLIP that `make train` would make
        shutil.copytree(REPOSITORY / SIGNS / "clip", "runs/clip-world/export")
        shutil.copy(REPOSITORY / SIGNS / "vocabulary.safetensors", "runs/clip-world")
    places = {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'clients/python/src'}", "GIT_DIR": str(REPOSITORY / ".git")}
    commands, read = RUNS[page]
    for module, arguments in commands:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments, "--quick"],
            env=environment_with(places),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{module}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    assert "|" in read()
