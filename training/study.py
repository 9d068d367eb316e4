"""Runs the studies of docs/results: `python -m training.study [--jobs 2] [--only PATTERN] [--list]`.

Every run is trained (`training.ppo --resume`, one thread) and evaluated on fixed episodes with sampled and with greedy
actions. Its raw files are added to docs/results/raw/STUDY.tar.xz (training.archive), where a study comprises the runs on one
task: NAME/run.json, NAME/log.jsonl, NAME/evaluation-*.json. A run whose raw files exist is skipped, so the command can be
interrupted and restarted at any time; `make results` creates the tables and plots. The weights of some runs are kept, in
half precision, in docs/results/raw/weights/NAME, which training.evaluate and training.robustness take as a run. With
`--quick` the raw files of a short run stay in runs/quick-NAME.

Failure policy: a run that fails is reported with its log file, the others continue, and the command ends with status 1.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from safetensors.torch import load_file

from agent.safetensors_file import write_tensors
from training.archive import RAW, add, read
from training.clip.encoders import ENCODERS
from training.presets import NUM_ENVS
from training.quick import parse

RUNS = Path("runs")
QUICK, QUICK_EPISODES = ("--steps", "2048", "--rollout", "32"), 2
EPISODES, FIRST_SEED = 100, 1_000_000
S11_EPISODES, FORGETTING_EPISODES = 200, 50
KEPT_LINES = 400  # of a learning curve
ALL_LAYERS = 30  # of SmolLM2-135M
PUBLISHED_STEPS = 2_000_000  # of the authors, on MemoryS11
WORDS_WINDOW = 32  # frames that a memory of 1, 2 or 3 words each reaches back

S11 = "MiniGrid-MemoryS11-v0"
RECOGNITION = "shelm/ContinuousRecognition-v0"
MINIGRID = {
    "redblue": "MiniGrid-RedBlueDoors-6x6-v0",
    "keycorridor": "MiniGrid-KeyCorridorS3R1-v0",
    "doorkey5": "MiniGrid-DoorKey-5x5-v0",
    "doorkey6": "MiniGrid-DoorKey-6x6-v0",
    "unlock": "MiniGrid-Unlock-v0",
    "obstacles": "MiniGrid-Dynamic-Obstacles-Random-5x5-v0",
}
MINIWORLD = {
    "signcolour": "MiniWorld-SignColour-v0",
    "sign": "MiniWorld-SignVarying-v0",
    "tmaze": "MiniWorld-TMaze-v0",
    "ymaze": "MiniWorld-YMaze-v0",
    "fourrooms": "MiniWorld-FourRooms-v0",
    "maze": "MiniWorld-MazeS3Fast-v0",
    "pickup": "MiniWorld-PickupObjects-v0",
    "putnext": "MiniWorld-PutNext-v0",
    "health": "MiniWorld-CollectHealth-v0",
    "registeredsign": "MiniWorld-Sign-v0",
}
PPO_ALONE = (
    "--imitation=0",
    "--entropy=0.03",
    "--entropy-end=0.003",
    "--steps=400000",
)  # without this an expert is imitated first
# By method of docs/results/baselines.md; learning rate and entropy of the baselines are their authors' (training.paper).
OWN: dict[str, tuple[str, ...]] = {
    "shelm": (),
    "helm": ("--learning-rate", "1e-4", "--entropy", "0.005"),
    "helmv2": ("--clip-features", "plain", "--learning-rate", "3e-4", "--entropy", "0.005"),
    "lstm": ("--lstm-cnn", "equal", "--learning-rate", "5e-5", "--entropy", "0.001"),
    "cnn": ("--learning-rate", "5e-5", "--entropy", "0.01"),
}
TO_A_RESULT = ("signcolour", "tmaze", "sign")  # MiniWorld tasks with full training; the others are trained briefly


@dataclass(frozen=True)
class Run:
    """One training run and its evaluations. begins: name of the run from whose checkpoint it continues, "" for none."""

    name: str
    env: str
    method: str
    seed: int
    options: tuple[str, ...] = field(default=())
    begins: str = ""
    weights: bool = False  # are kept
    quick: bool = False  # trained and evaluated briefly; nothing is kept

    @property
    def files(self) -> list[str]:
        """Names of the raw files of a finished run."""
        return ["run.json", "log.jsonl", *(f"evaluation-{kind}.json" for kind in self.evaluations())]

    def training(self) -> list[str]:
        """Arguments of training.ppo."""
        names = ["--out", str(RUNS / self.name), "--env", self.env, "--method", self.method]
        return [*names, "--seed", str(self.seed), "--resume", *self.options]

    def evaluations(self) -> dict[str, list[str]]:
        """Arguments of training.evaluate by the name of the result."""
        episodes = QUICK_EPISODES if self.quick else S11_EPISODES if self.env == S11 else EPISODES
        common = ["--run", str(RUNS / self.name), "--env", self.env, "--first-seed", str(FIRST_SEED)]
        kinds = {"drawn": [*common, "--episodes", str(episodes)]}
        kinds["greedy"] = [*kinds["drawn"], "--deterministic"]
        if self.env == S11 and self.method == "shelm":
            forgetting = min(episodes, FORGETTING_EPISODES)
            kinds["forgetting"] = [*common, "--episodes", str(forgetting), "--forget"]
        return kinds


def runs() -> Iterator[Run]:
    """Returns all runs, the most informative first."""
    for seed in range(5):
        yield Run(f"s11-shelm-{seed}", S11, "shelm", seed)
    for seed in range(3):
        yield Run(f"s11-cnn-{seed}", S11, "cnn", seed)
    for method in ("helmv2", "lstm", "helm"):
        yield Run(f"s11-{method}-0", S11, method, 0)
    for short in TO_A_RESULT:
        for method in ("shelm", "cnn"):
            yield Run(f"{short}-{method}-0", MINIWORLD[short], method, 0)
    for method in ("shelm", "cnn"):
        yield Run(f"signcolour-alone-{method}-0", MINIWORLD["signcolour"], method, 0, PPO_ALONE)
    yield from _longer()
    for seed in range(2):
        yield from _minigrid(seed)
        yield _names_alone(seed)
        yield from _memory_variants(seed)
    for seed in (1, 2):
        for method in ("helmv2", "lstm", "helm"):
            yield Run(f"s11-{method}-{seed}", S11, method, seed)
    for short, env in MINIWORLD.items():
        if short not in TO_A_RESULT:
            yield Run(f"{short}-shelm-0", env, "shelm", 0)
    for method in ("shelm", "cnn"):
        yield Run(f"recognition-{method}-0", RECOGNITION, method, 0)


def _longer() -> Iterator[Run]:
    """Returns runs that continue others."""
    for seed in range(5):
        yield Run(f"s11-longer-{seed}", S11, "shelm", seed, ("--steps", "1200000"), begins=f"s11-shelm-{seed}")
    for short in ("keycorridor", "unlock"):
        yield Run(f"{short}-longer-0", MINIGRID[short], "shelm", 0, ("--steps", "1000000"), begins=f"{short}-shelm-0")
    for name, short, method, steps in (
        ("longer", "signcolour", "shelm", 500_000),
        ("longer-cnn", "signcolour", "cnn", 500_000),
        ("longer", "tmaze", "shelm", 500_000),
        ("longer-cnn", "tmaze", "cnn", 500_000),
        ("longer", "pickup", "shelm", 250_000),
    ):
        begins = f"{short}-{method}-0"
        yield Run(f"{short}-{name}-0", MINIWORLD[short], method, 0, ("--steps", str(steps)), begins=begins)


def _names_alone(seed: int) -> Run:
    """RedBlueDoors remembered in one word per frame, from a CLIP that names objects but not their colours."""
    clip = ("--clip", "file:models/minigrid-memory/clip", "--vocabulary", "models/minigrid-memory/vocabulary.safetensors")
    return Run(f"redblue-names-{seed}", MINIGRID["redblue"], "shelm", seed, (*clip, "--k", "1", "--window", "32"))


def _minigrid(seed: int) -> Iterator[Run]:
    for method in ("shelm", "cnn", "lstm"):
        for short, env in MINIGRID.items():
            yield Run(f"{short}-{method}-{seed}", env, method, seed)


def _memory_variants(seed: int) -> Iterator[Run]:
    """Variants of the language model: its depth, and whether it is pretrained."""
    for layers in (1, 4):
        yield Run(f"s11-layers{layers}-{seed}", S11, "shelm", seed, ("--layers", str(layers)))
    for layers in (2, ALL_LAYERS):  # all of them are slow: half the steps, and the usual depth with as few
        yield Run(f"s11-half{layers}-{seed}", S11, "shelm", seed, ("--steps", "400000", "--layers", str(layers)))
    yield Run(f"s11-untrained-{seed}", S11, "shelm", seed, ("--language-model", f"random:{seed}"))


def baselines() -> Iterator[Run]:
    """Returns the runs of docs/results/baselines.md: every method on MemoryS11 alone, with settings of its own."""
    task = ("--task", f"{S11}:{NUM_ENVS}")
    for seed in range(5):
        for method, own in OWN.items():
            projection = ("--projection", str(seed)) if method in ("helm", "helmv2") else ()
            yield Run(f"baselines-{method}-{seed}", S11, method, seed, (*task, *own, *projection), weights=seed < 3)
    for seed in range(5):
        longer = (*task, "--steps", str(PUBLISHED_STEPS))
        yield Run(f"baselines-longer-{seed}", S11, "shelm", seed, longer, begins=f"baselines-shelm-{seed}", weights=seed < 3)


def second() -> Iterator[Run]:
    """Returns the runs of a second task for docs/results/degradation.md, one that every method solves within few steps."""
    for seed in range(3):
        for method in ("shelm", "helmv2", "cnn", "lstm"):
            yield Run(f"second-{method}-{seed}", MINIGRID["obstacles"], method, seed, ("--steps", "120000"), weights=True)


def encoders() -> Iterator[Run]:
    """Returns the runs of docs/results/encoders.md: SHELM on MemoryS11 alone, with each CLIP of training.clip.encoders.

    The shipped CLIP is that of the baselines.
    """
    for seed in range(3):
        for name in ENCODERS:
            if name != "shipped":
                folder = RUNS / "encoders" / name
                clip = ("--clip", f"file:{folder}/export", "--vocabulary", f"{folder}/vocabulary.safetensors")
                yield Run(f"encoders-{name}-{seed}", S11, "shelm", seed, ("--task", f"{S11}:{NUM_ENVS}", *clip))


def brief(run: Run) -> Run:
    """Returns the run as `--quick` has it: from the beginning, short, and under a name of its own."""
    return replace(run, name=f"quick-{run.name}", options=(*run.options, *QUICK), begins="", quick=True)


def archive_of(run: Run, folder: Path | None = None) -> Path:
    """Returns the archive of the run's study; the first part of a run's name is its task."""
    return (folder or RAW) / f"{run.name.partition('-')[0]}.tar.xz"


def finished(run: Run) -> bool:
    """Returns whether the run's raw files exist."""
    return {f"{run.name}/{file}" for file in run.files} <= read(archive_of(run)).keys()


def perform(run: Run, device: str) -> bool:
    """Trains and evaluates one run on a torch device; returns False if a part failed."""
    folder = RUNS / run.name
    folder.mkdir(parents=True, exist_ok=True)
    prepare(run)
    print("begin", run.name, flush=True)
    with (folder / "output.txt").open("a") as output:
        parts = [["training.ppo", *run.training(), "--device", device]]
        for kind, arguments in run.evaluations().items():
            parts.append(
                ["training.evaluate", *arguments, "--device", device, "--out", str(folder / f"evaluation-{kind}.json")]
            )
        for part in parts:
            if subprocess.run([sys.executable, "-m", *part], stdout=output, stderr=output, check=False).returncode:
                print("FAILED", run.name, "see", folder / "output.txt", flush=True)
                return False
    if not run.quick:
        keep(run)
    print("end", run.name, flush=True)
    return True


def prepare(run: Run) -> None:
    """Copies the checkpoint from which a run continues, unless the run has its own already."""
    if run.begins and not (RUNS / run.name / "checkpoint.pt").exists():
        for file in ("log.jsonl", "checkpoint.pt"):  # the checkpoint last, because it marks the run as begun
            shutil.copy(RUNS / run.begins / file, RUNS / run.name / file)


def keep(run: Run) -> None:
    """Archives the raw files; thins a learning curve to at most `KEPT_LINES` lines, including the last."""
    texts = {file: (RUNS / run.name / file).read_text() for file in run.files}
    lines = texts["log.jsonl"].splitlines(keepends=True)
    every = -(-len(lines) // KEPT_LINES)
    texts["log.jsonl"] = "".join(lines[::-1][::every][::-1])
    if run.weights:
        keep_weights(RUNS / run.name, RAW / "weights" / run.name)
    add(archive_of(run), {f"{run.name}/{file}": text for file, text in texts.items()})


def keep_weights(run: Path, out: Path) -> None:
    """Copies what evaluation takes of a run: its settings, the policy's weights as float16, what its memory has learned."""
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(run / "run.json", out)
    write_tensors(
        out / "policy.safetensors", {name: one.half() for name, one in load_file(run / "policy.safetensors").items()}
    )
    if (run / "memory.safetensors").exists():
        shutil.copy(run / "memory.safetensors", out)


def words() -> Iterator[Run]:
    """Returns the runs of docs/results/conflation.md: one CLIP with 1, 2 and 3 words a frame, in a window of 32 frames."""
    for seed in range(3):
        for short, env, bundle in (
            ("redblue", MINIGRID["redblue"], "minigrid-redbluedoors"),
            ("signcolour", MINIWORLD["signcolour"], "miniworld-signcolour"),
        ):
            clip = ("--clip", f"file:models/{bundle}/clip", "--vocabulary", f"models/{bundle}/vocabulary.safetensors")
            for k in (1, 2, 3):
                own = (*clip, "--k", str(k), "--window", str(WORDS_WINDOW * k))
                yield Run(f"words-{short}{k}-{seed}", env, "shelm", seed, own)


def every_run() -> Iterator[Run]:
    """Returns the runs of all pages."""
    for page in (runs, baselines, encoders, words, second):
        yield from page()


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="number of concurrent runs, one thread each")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="names of runs, with * and ?")
    parser.add_argument("--device", default="cpu", help="torch device of all runs")
    parser.add_argument("--list", action="store_true", help="list the runs and whether they are finished")
    options = parse(parser, arguments, only="obstacles-cnn-0")
    wanted = [run for run in every_run() if fnmatch(run.name, options.only)]
    if options.quick:
        wanted = [brief(run) for run in wanted]
    if options.list:
        print("\n".join(f"{'finished' if finished(run) else 'open    '} {run.name}" for run in wanted))
        return
    with ThreadPoolExecutor(options.jobs) as jobs:
        if not all(list(jobs.map(partial(perform, device=options.device), [run for run in wanted if not finished(run)]))):
            sys.exit(1)


if __name__ == "__main__":
    main()
