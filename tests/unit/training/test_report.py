"""The report of the training results, from raw files whose figures are worked out by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
from scipy import stats  # type: ignore[import-untyped]
from shelm.gym.evaluation import Played, content

from training import archive, study
from training.chance import NAME, file_of
from training.report import measures
from training.report.__main__ import BEGIN, END, main
from training.report.measures import Welch, holm, interquartile_mean, interval, steps_to, welch
from training.report.plots import mean_curve
from training.report.raw import load

S7, UNLOCK = "MiniGrid-MemoryS7-v0", "MiniGrid-Unlock-v0"
STUDY = {run.name: run for run in study.runs()}
RUNS = {run.name: run for run in study.every_run()}
SHELM, CNN = [1.0, 0.5, 0.75, 0.25, 1.0], [0.5, 0.25, 0.25]  # scores of the runs by seed
LINES = ((2048, 0.9), (30_720, 0.5), (100_352, 0.8), (200_704, 0.7), (800_768, 1.0))  # steps, mean return


def evaluation(run: study.Run, kind: str, score: float, **other: Any) -> dict[str, Any]:
    """Four episodes, of which the share `score` is solved with a return of 1."""
    returns = [1.0] * int(score * 4) + [0.0] * (4 - int(score * 4))
    flags = {"deterministic": kind == "greedy", "forget": kind == "forgetting"}
    return {"method": run.method, "env": run.env, **flags, "first_seed": study.FIRST_SEED, "returns": returns, **other}


def write_run(folder: Path, name: str, score: float, lines: tuple[tuple[int, float], ...] = LINES, **settings: Any) -> Path:
    """The files of one run of the study; 100 steps a second, the other task of the curriculum always at 0.99."""
    run, target = RUNS[name], folder / name
    target.mkdir(parents=True)
    about = {"env": run.env, "method": run.method, "seed": run.seed, "commit": "0123456789"}
    words = {"clip": "file:runs/clip-one/export", "k": 1}
    about["task"] = [f"{S7}:16", f"{run.env}:16"]
    memory = {"layers": 2, "language_model": "package:some", "steps": 800_000, **words}
    (target / "run.json").write_text(json.dumps({**about, **memory, **settings}))
    log = [{"steps": steps, "seconds": steps / 100, "returns": {S7: 0.99, run.env: value}} for steps, value in lines]
    (target / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    for kind in run.evaluations():
        content = evaluation(run, kind, 0.0 if kind == "forgetting" else score)
        (target / f"evaluation-{kind}.json").write_text(json.dumps(content))
    return target


def archived(folder: Path) -> Path:
    """The folder of the archives, which hold the files of the runs as they are now."""
    texts: dict[Path, dict[str, str]] = {study.archive_of(run, folder / "raw"): {} for run in RUNS.values()}
    for file in (folder / "runs").glob("*/*"):
        run = RUNS[file.parent.name]
        texts[study.archive_of(run, folder / "raw")][f"{run.name}/{file.name}"] = file.read_text()
    for path, files in texts.items():
        path.unlink(missing_ok=True)
        if files:
            archive.add(path, files)
    return folder / "raw"


def write_page(folder: Path) -> Path:
    """A page and no runs."""
    (folder / "training.md").write_text(f"Written by hand.\n{BEGIN}\nold\n{END}\nThe end.\n")
    return folder


def write_study(folder: Path) -> Path:
    """Five runs of SHELM, three without memory, two of other memories; on another task one against one."""
    for seed, score in enumerate(SHELM):
        write_run(folder / "runs", f"s11-shelm-{seed}", score)
    for seed, score in enumerate(CNN):
        write_run(folder / "runs", f"s11-cnn-{seed}", score, LINES[:2])
    write_run(folder / "runs", "s11-layers1-0", 0.75, layers=1, commit="fedcba9876")
    write_run(folder / "runs", "s11-untrained-1", 0.25, language_model="random:1")
    write_run(folder / "runs", "unlock-shelm-0", 1.0)
    write_run(folder / "runs", "unlock-cnn-0", 0.5)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_page(tmp_path)


@pytest.fixture
def results(folder: Path) -> Path:
    return write_study(folder)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the study as `write_study` writes it."""
    return report(write_study(write_page(tmp_path_factory.mktemp("report"))))


def report(folder: Path) -> str:
    main(["--raw", str(archived(folder)), "--out", str(folder)])
    return (folder / "training.md").read_text()


def section(page: str, heading: str) -> str:
    return page.split(f"## {heading}\n")[1].partition("\n## ")[0]


def row(text: str, start: str) -> list[str]:
    """The cells of the one line of a table that begins with these cells."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {start} |")]
    return line.strip("| ").split(" | ")


def test_the_scores_of_a_method_are_the_ones_worked_out_by_hand(page: str) -> None:
    text = section(page, study.S11)
    seeds, steps, drawn, greedy, mean, solved, reached, speed = row(text.split("SHELM against")[0], "SHELM")[1:]
    # The best and the worst of five are cut off: (1.0 + 0.5 + 0.75) / 3. The mean is 3.5 / 5.
    assert drawn.split(" [")[0] == greedy.split(" [")[0] == "0.750"
    assert (mean, solved) == ("0.700 / 0.700", "70 % / 70 %")
    assert (seeds, steps, speed) == ("5 (0, 1, 2, 3, 4)", "800,768", "100")
    assert reached == "100 k (100 k, 100 k, 100 k, 100 k, 100 k)"
    low, high = interval(SHELM)
    assert drawn == f"0.750 [{low:.3f}, {high:.3f}]"
    assert min(SHELM) <= low < 0.75 < high <= max(SHELM)


def test_what_random_actions_earn_stands_above_the_tables_of_their_environment(results: Path) -> None:
    without = report(results)
    played = {"mean_return": 0.125, "standard_error": 0.25, "returns": [0.0, 0.25]}
    archive.add(results / "raw" / NAME, {file_of(UNLOCK): json.dumps(played)})
    line = "Random actions: mean return 0.125 (standard error 0.250, 2 episodes)."
    page = report(results)
    assert section(page, UNLOCK).startswith(f"\n{line}\n")
    assert page.replace(f"{line}\n\n", "") == without


def test_an_evaluation_of_either_form_gives_the_same_page(results: Path) -> None:
    before = report(results)
    for file in (results / "runs").glob("*/evaluation-*.json"):
        old = json.loads(file.read_text())
        played = [Played(old["first_seed"] + at, f"seed {at}", total, 10) for at, total in enumerate(old["returns"])]
        agent = {"agent": file.parent.name, "method": old["method"]}
        edit = {"edit": "emptied" if old["forget"] else "none"}
        file.write_text(json.dumps(content(old["env"], [(agent, played)], deterministic=old["deterministic"], edit=edit)))
    assert report(results) == before
    assert "rows" in (results / "runs" / "s11-shelm-0" / "evaluation-drawn.json").read_text()


def test_of_three_runs_the_interquartile_mean_is_the_mean() -> None:
    assert interquartile_mean(CNN) == pytest.approx(1 / 3)


def test_an_interval_does_not_depend_on_what_was_drawn_before() -> None:
    first = interval(SHELM)
    assert interval(CNN) != first
    measures._interval.cache_clear()
    assert interval(SHELM) == first


def test_fewer_than_three_runs_are_given_as_they_are_without_an_interval(results: Path) -> None:
    write_run(results / "runs", "unlock-shelm-1", 0.25)
    text = section(report(results), UNLOCK)
    assert row(text.split("SHELM against")[0], "SHELM")[3] == "1.000, 0.250"
    assert "[" not in text.replace("![", "").replace("[95 %]", "").replace("[Learning", "")


def test_welchs_test_is_scipys(page: str) -> None:
    expected = stats.ttest_ind(SHELM, CNN, equal_var=False)
    cells = row(section(page, study.S11).split("SHELM against")[1], "CNN-PPO")
    assert cells[1:3] == ["5, 3", "0.367"]
    assert cells[3:] == [
        f"{expected.statistic:.2f}",
        f"{expected.df:.1f}",
        f"{expected.pvalue:.2g}",
        f"{expected.pvalue:.2g}",
    ]


def test_several_methods_on_one_environment_are_corrected_for_together(results: Path) -> None:
    for seed in range(3):
        write_run(results / "runs", f"s11-lstm-{seed}", [0.25, 0.0, 0.25][seed])
    text = section(report(results), study.S11).split("SHELM against")[1]
    p_values = [stats.ttest_ind(SHELM, other, equal_var=False).pvalue for other in (CNN, [0.25, 0.0, 0.25])]
    assert p_values[1] < p_values[0]
    assert row(text, "LSTM-PPO")[-1] == f"{2 * p_values[1]:.2g}"
    assert row(text, "CNN-PPO")[-1] == f"{max(p_values[0], 2 * p_values[1]):.2g}"


def test_holms_correction_never_falls_and_never_exceeds_one() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_one_run_against_one_is_too_few_for_a_test(page: str) -> None:
    assert row(section(page, UNLOCK).split("SHELM against")[1], "CNN-PPO")[1:] == [
        "1, 1",
        "too few runs",
        *"----",
    ]


@pytest.mark.parametrize(("first", "second"), [([1.0] * 3, [0.5] * 3), ([0.5] * 3, [0.5] * 3)])
def test_scores_without_any_spread_have_no_test(first: list[float], second: list[float]) -> None:
    assert welch(first, second) is None


def test_two_runs_on_a_side_are_too_few() -> None:
    assert welch([1.0, 0.5], [0.5, 0.25, 0.75]) is None
    assert welch([1.0, 0.5, 0.75], [0.5, 0.25]) is None


def test_one_side_without_spread_is_tested() -> None:
    test = welch([1.0, 1.0, 1.0], [0.5, 0.25, 0.75])
    assert isinstance(test, Welch)
    assert 0 < test.p < 1


def test_runs_that_all_score_the_same_give_no_nan(folder: Path) -> None:
    for seed in range(3):
        write_run(folder / "runs", f"s11-shelm-{seed}", 1.0)
        write_run(folder / "runs", f"s11-cnn-{seed}", 0.5)
    page = report(folder)
    assert "1.000 [1.000, 1.000]" in page
    assert "no spread" in page
    assert "nan" not in page.lower()
    assert "inf" not in page.lower()


def test_the_warm_up_and_the_other_task_do_not_count_as_having_reached_the_goal(results: Path, page: str) -> None:
    # At 2,048 steps the curve is at 0.9, and the other task at 0.99 throughout.
    done = {result.run.name: result for result in load(archived(results))[0]}
    assert steps_to(done["s11-shelm-0"]) == 100_352
    assert steps_to(done["s11-cnn-0"]) is None
    assert row(section(page, study.S11).split("SHELM against")[0], "CNN-PPO")[-2] == "not reached"


def test_the_median_of_steps_takes_a_seed_that_never_reached_the_goal_for_the_slowest(folder: Path) -> None:
    curves = (((50_176, 0.9), (800_768, 0.9)), ((150_528, 0.9), (800_768, 0.9)), ((50_176, 0.1), (800_768, 0.1)))
    for seed, lines in enumerate(curves):
        write_run(folder / "runs", f"s11-shelm-{seed}", 1.0, lines)
    assert row(section(report(folder), study.S11), "SHELM")[-2] == "151 k (50 k, 151 k, not reached)"


def test_memory_variants_stand_beside_the_memory_of_the_preset_and_not_among_the_methods(page: str) -> None:
    text = section(page, f"Which memory: SHELM on {study.S11}")
    assert row(text, "1 | pretrained")[2:6] == ["1 (clip-one)", "1 (0)", "800,768", "0.750"]
    assert row(text, "2 | random")[2:6] == ["1 (clip-one)", "1 (1)", "800,768", "0.250"]
    assert row(text, "2 | pretrained")[3] == "5 (0, 1, 2, 3, 4)"
    assert "Commits: 0123456 (6 runs), fedcba9 (1 run)." in text
    assert "fedcba9" not in section(page, study.S11)


def test_a_mean_of_few_episodes_after_the_training_went_on_does_not_count_as_having_reached_the_goal(folder: Path) -> None:
    target = write_run(folder / "runs", "unlock-shelm-0", 1.0, ((51_200, 0.1), (53_248, 0.9), (81_920, 0.8)))
    lines = [json.loads(line) for line in (target / "log.jsonl").read_text().splitlines()]
    for line, episodes in zip(lines, (100, 4, 100), strict=True):
        line["episodes"] = dict.fromkeys(line["returns"], episodes)
    (target / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done, _ = load(archived(folder))
    assert [steps_to(result) for result in done] == [81_920]


def test_what_was_trained_in_an_environment_for_training_alone_has_its_curve_and_no_steps_to_a_goal(folder: Path) -> None:
    env, trained_in = "MiniWorld-SignColour-v0", "MiniWorld-SignColourTraining-v0"
    target = write_run(folder / "runs", "signcolour-shelm-0", 0.5, task=[f"{trained_in}:32"])
    log = target / "log.jsonl"
    log.write_text(log.read_text().replace(env, trained_in))
    (result,), _ = load(archived(folder))
    assert (result.curve_of, result.curve.tolist()) == (trained_in, [value for _, value in LINES])
    assert steps_to(result) is None
    assert row(section(report(folder), env), "SHELM")[-2] == "-"
    assert trained_in in (folder / "plots" / f"{env}.svg").read_text()


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("PPO alone, without imitation", ("signcolour-alone-shelm-0", "signcolour-alone-cnn-0")),
        ("Trained for longer", ("signcolour-longer-0", "signcolour-longer-cnn-0")),
    ],
)
def test_runs_of_another_training_stand_by_themselves_and_not_among_methods_or_memories(
    folder: Path, heading: str, names: tuple[str, str]
) -> None:
    write_run(folder / "runs", "signcolour-shelm-0", 1.0)
    for name, score in zip(names, (0.25, 0.5), strict=True):
        write_run(folder / "runs", name, score, steps=500_000)
    text, env = report(folder), "MiniWorld-SignColour-v0"
    assert row(section(text, env), "SHELM")[3] == "1.000"
    found = section(text, f"{heading}: {env}")
    assert (row(found, "SHELM")[3], row(found, "CNN-PPO")[3]) == ("0.250", "0.500")
    assert (f"plots/{env}-longer.svg" in found) == ("longer" in heading)
    assert "Which memory" not in text


def test_baselines_have_a_page_of_their_own(folder: Path) -> None:
    own = folder / "baselines.md"
    own.write_text(f"By hand.\n{BEGIN}\n{END}\n")
    about: dict[str, Any] = {"learning_rate": 5e-5, "entropy": 0.001, "policy": {"channels": [32, 64]}}
    for seed, score in enumerate((1.0, 0.75, 1.0)):
        write_run(folder / "runs", f"baselines-shelm-{seed}", score, **about)
        write_run(folder / "runs", f"baselines-lstm-{seed}", 0.5, **about)
    write_run(folder / "runs", "baselines-longer-1", 0.25, steps=2_000_000, **about)
    ends = [{"end": "right", "naming": "named"}] * 6 + [{"end": "wrong", "naming": "unseen"}] * 2
    (folder / "runs" / "baselines-shelm-1" / "traces.json").write_text(json.dumps({"episodes": ends}))
    training = report(folder)
    assert study.S11 not in training.split("## Not run")[0]
    text = own.read_text()
    assert row(text.split("SHELM against")[0], "LSTM-PPO")[1] == "3 (0, 1, 2)"
    assert row(section(text, "Settings"), "LSTM-PPO")[1:] == ["5e-05", "0.001", "32x64"]
    assert row(text.split("## ")[0], "SHELM")[1] == "3 (0, 1, 2)", "what goes on from it is no run of its own"
    assert row(section(text, "SHELM after the authors' number of steps"), "SHELM")[3] == "0.250"
    assert f"- {study.S11}, helm: seeds 0, 1, 2, 3, 4" in text
    assert row(text, "shelm-1")[1:7] == ["8", "6", "2", "0", "0.75 [0.41, 0.93]", "2 wrong, 0 never"]


def test_what_clips_say_stands_beside_what_is_reached_with_them(folder: Path) -> None:
    own = folder / "encoders.md"
    own.write_text(f"By hand.\n{BEGIN}\n{END}\n")
    said = {"shipped": (1.0, 0), "patch14": (0.75, 2), "patch28": (0.5, 5), "resnet": (1.0, 0), "permuted": (0.0, 0)}
    for name, (right, same) in said.items():
        named = {"task_words": {"top1": right}, "whole_vocabulary": {"top1": right}}
        measured = {"pairs": 10, "pairs_same_word": same, "words": 2, **named}
        archive.add(folder / "raw" / "encoders.tar.xz", {f"{name}/measured.json": json.dumps(measured)})
        run = "baselines-shelm-0" if name == "shipped" else f"encoders-{name}-0"
        write_run(folder / "runs", run, 1 - same / 10)
    kept = archive.read(folder / "raw" / "encoders.tar.xz")
    raw = archived(folder)
    archive.add(raw / "encoders.tar.xz", kept)
    main(["--raw", str(raw), "--out", str(folder)])
    text = own.read_text()
    assert row(text.split("What SHELM reaches")[0], "patch28")[1:] == [
        "ViT, patch 28",
        "600",
        "50 %",
        "50 %",
        "2",
        "5 of 10 pairs (50 %)",
    ]
    assert row(section(text, "What SHELM reaches on MemoryS11 alone"), "shipped")[:2] == ["shipped", "1 (0)"]
    goes = section(text, "Does the return go with what the CLIP says?")
    assert row(goes, "key and ball with different words")[1:] == ["5", "1.00"]
    assert float(row(goes, "named right, all words")[2]) < 0.7
    assert f"- {study.S11}, short: seeds 0, 1, 2" in text


def test_what_an_agent_reaches_stands_by_its_words_a_frame(folder: Path) -> None:
    own = folder / "conflation.md"
    own.write_text(f"By hand.\n{BEGIN}\n{END}\n")
    for k, score in ((3, 0.75), (1, 0.25)):
        write_run(folder / "runs", f"words-redblue{k}-0", score)
    write_run(folder / "runs", "words-redblue1-1", 0.5)
    main(["--raw", str(archived(folder)), "--out", str(folder)])
    reached = section(own.read_text(), "What SHELM reaches on MiniGrid-RedBlueDoors-6x6-v0")
    assert row(reached, "1")[1] == "2 (0, 1)"
    assert row(reached, "3")[1] == "1 (0)"
    assert reached.index("| 1 |") < reached.index("| 3 |")
    assert "redblue1: seeds 2" in own.read_text()


def test_what_probes_found_stands_in_a_table_for_each_environment(results: Path) -> None:
    common = {"env": "World", "k": 2, "episodes": 480, "chance": 1 / 3, "commit": "0123456789"}
    for layers, linear in ((6, 0.97), (2, 0.5)):
        found = {**common, "layers": layers, "looks": 4, "linear": linear, "hidden": 0.99}
        archive.add(results / "raw" / "probe.tar.xz", {f"{layers}.json": json.dumps(found)})
    text = section(report(results), "What can be read from the memory: World")
    assert row(text, "6") == ["6", "2", "4", "480", "0.33", "0.97", "0.99"]
    assert text.index("| 2 |") < text.index("| 6 |")
    assert "0123456 (2)" in text


def test_forgetting_is_compared_on_the_same_episodes(results: Path) -> None:
    run = RUNS["s11-shelm-1"]
    # The first two of the four episodes with memory were solved: on the two episodes of the other side 1.0 against 0.5.
    content = evaluation(run, "forgetting", 0.0, returns=[0.0, 1.0])
    (results / "runs" / run.name / "evaluation-forgetting.json").write_text(json.dumps(content))
    text = section(report(results), f"Without its past: SHELM on {study.S11}")
    assert row(text, "1") == ["1", "2", "1.000", "0.500", "100 % / 50 %"]
    assert row(text, "0") == ["0", "4", "1.000", "0.000", "100 % / 0 %"]


def test_what_the_study_has_and_the_files_do_not_is_named_as_not_run(results: Path) -> None:
    (results / "runs" / "s11-shelm-3" / "evaluation-forgetting.json").unlink()
    page = report(results)
    missing = section(page, "Not run")
    assert f"- {study.S11}, shelm: seeds 3\n" in missing
    assert f"- {study.S11}, layers1: seeds 1\n" in missing
    assert f"- {UNLOCK}, cnn: seeds 1\n" in missing
    assert f"- {study.MINIGRID['keycorridor']}, shelm: seeds 0, 1\n" in missing
    assert f"## {study.MINIGRID['keycorridor']}" not in page
    assert row(section(page, study.S11).split("SHELM against")[0], "SHELM")[1] == "4 (0, 1, 2, 4)"


def test_without_any_run_the_page_says_so_and_has_no_tables(folder: Path) -> None:
    page = report(folder)
    assert page.startswith(f"Written by hand.\n{BEGIN}\n\n## Not run\n")
    assert page.endswith(f"{END}\nThe end.\n")
    assert "|" not in page
    assert sum(len(line.split("seeds ")[1].split(", ")) for line in page.splitlines() if "seeds " in line) == len(STUDY)


def test_making_the_report_twice_gives_the_same_bytes(results: Path) -> None:
    def files() -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in [results / "training.md", *(results / "plots").iterdir()]}

    page = report(results)
    shown = page.replace(END, f"![of an environment that is no more](plots/gone.svg)\n\n{END}")
    (results / "training.md").write_text(shown)
    for name in ("gone.svg", "load.svg"):  # the other is of another page
        (results / "plots" / name).write_text(name)
    first = files() | {"training.md": page.encode()}
    assert report(results) == page
    assert files() == {name: content for name, content in first.items() if name != "gone.svg"}
    assert set(first) == {"training.md", "gone.svg", "load.svg", f"{study.S11}.svg", f"{UNLOCK}.svg"}
    assert page.startswith("Written by hand.\n")
    assert "\nold\n" not in page


def test_a_mean_curve_ends_where_the_first_of_its_runs_ends(folder: Path) -> None:
    write_run(folder / "runs", "s11-shelm-0", 1.0, ((1000, 0.0), (3000, 1.0), (5000, 1.0)))
    write_run(folder / "runs", "s11-shelm-1", 1.0, ((2000, 0.0), (3000, 0.5)))
    steps, curve = mean_curve(load(archived(folder))[0])
    assert steps.tolist() == [2000, 3000]
    assert curve.tolist() == [0.25, 0.75]


@pytest.mark.parametrize(
    ("file", "field", "value"),
    [
        ("evaluation-greedy.json", "deterministic", False),
        ("evaluation-drawn.json", "env", S7),
        ("evaluation-drawn.json", "first_seed", 0),
        ("evaluation-drawn.json", "returns", [1.0, float("nan")]),
        ("run.json", "seed", 7),
        ("run.json", "commit", ""),
    ],
)
def test_raw_files_that_contradict_the_study_are_refused_by_file_and_field(
    folder: Path, file: str, field: str, value: object
) -> None:
    target = write_run(folder / "runs", "s11-shelm-0", 1.0) / file
    target.write_text(json.dumps({**json.loads(target.read_text()), field: value}))
    with pytest.raises(ValueError, match=f"s11-shelm-0/{file}: {field}: "):
        report(folder)


def test_a_page_without_markers_is_left_alone(results: Path) -> None:
    (results / "training.md").write_text("All by hand.\n")
    with pytest.raises(ValueError, match=r"training\.md: marker: "):
        report(results)
    assert (results / "training.md").read_text() == "All by hand.\n"
    assert not (results / "plots").exists()


def test_a_run_that_goes_on_from_another_begins_with_its_checkpoint_and_its_curve_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "RUNS", tmp_path)
    run = RUNS["s11-longer-3"]
    for name in (run.begins, run.name):
        (tmp_path / name).mkdir()
    (tmp_path / run.begins / "checkpoint.pt").write_bytes(b"800k")
    (tmp_path / run.begins / "log.jsonl").write_text("a line\n")
    study.prepare(run)
    assert (tmp_path / run.name / "checkpoint.pt").read_bytes() == b"800k"
    assert (tmp_path / run.name / "log.jsonl").read_text() == "a line\n"
    (tmp_path / run.name / "checkpoint.pt").write_bytes(b"900k")
    study.prepare(run)
    assert (tmp_path / run.name / "checkpoint.pt").read_bytes() == b"900k"


def test_a_kept_run_is_finished_and_its_long_curve_is_thinned_from_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "RUNS", tmp_path)
    monkeypatch.setattr(study, "RAW", tmp_path / "raw")
    run, other = RUNS["s11-shelm-0"], RUNS["s11-shelm-1"]
    for each in (run, other):
        write_run(tmp_path, each.name, 1.0, tuple((steps, 0.5) for steps in range(1, 1002)))
    assert not study.finished(run)
    study.keep(run)
    assert study.finished(run)
    assert not study.finished(other)
    study.keep(other)
    kept = archive.read(tmp_path / "raw" / "s11.tar.xz")
    assert len(kept) == len(run.files) + len(other.files)
    assert [json.loads(line)["steps"] for line in kept["s11-shelm-0/log.jsonl"].splitlines()] == list(range(2, 1002, 3))
