"""Episodes taken along: rows, films and recordings of a real server, read back by what reads them elsewhere."""

import csv
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from shelm import Client
from shelm.cli import main as shelm
from shelm.export.painter import ACCENT, FAINT, WIDTH
from shelm.gym import Transition
from support.deployment import Deployment
from support.recordings import recorded
from support.waiting import wait_for


@pytest.fixture
def name(recording: Deployment, played: list[Transition], monkeypatch: pytest.MonkeyPatch) -> str:
    """The recorded episode, of the server that `shelm` asks."""
    monkeypatch.setenv("SHELM_TARGET", recording.target)
    return played[0].act.episode_id


def unrecorded(recording: Deployment) -> str:
    """An episode without a step, and so without frames."""
    with Client(recording.target) as client, client.episode() as episode:
        return episode.episode_id


def check_film(pictures: list[NDArray[np.uint8]], name: str, target: str, *, tolerance: int) -> None:
    """Each picture has the step's frame, enlarged, letters in the caption, and at the bottom the share of steps so far."""
    with Client(target) as client:
        steps = list(client.memory(name))
        frames = [client.frame(name, step.step) for step in steps]
    assert len(pictures) == len(steps)
    scale = -(-WIDTH // frames[0].shape[1])
    edge = frames[0].shape[0] * scale
    for index, (picture, frame) in enumerate(zip(pictures, frames, strict=True)):
        height, width, _ = picture.shape
        shown = picture[scale // 2 : edge : scale, scale // 2 : frame.shape[1] * scale : scale].astype(int)
        assert np.abs(shown - frame).mean() < tolerance
        caption = picture[edge : height - 8]
        assert (caption.max(axis=2) > 180).sum() > 200, "letters are bright"
        done = (index + 1) / len(steps) * width
        near(picture[height - 3, int(done) - 8], ACCENT)
        if done + 8 < width:
            near(picture[height - 3, int(done) + 8], FAINT)
    assert any((pictures[0][edge : edge + 30] != pictures[-1][edge : edge + 30]).ravel()), "the caption is the step's own"


def near(pixel: NDArray[np.uint8], colour: tuple[int, int, int]) -> None:
    assert np.abs(pixel.astype(int) - colour).max() < 40, (pixel, colour)


def test_json_lines_have_what_the_memory_has(
    name: str, played: list[Transition], capsys: pytest.CaptureFixture[str]
) -> None:
    assert shelm(["export", name]) == 0
    exported = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert shelm(["memory", name, "--json"]) == 0
    remembered = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    whole = {key: exported[0][key] for key in ("episode_id", "agent", "agent_digest", "total_reward")}
    assert exported == [{**whole, **step} for step in remembered]
    assert len(exported) == len(played)
    assert (whole["episode_id"], whole["agent"]) == (name, "minigrid-memory")
    assert whole["total_reward"] == pytest.approx(sum(step.reward for step in played))


def test_csv_of_several_episodes_is_one_table(name: str, recording: Deployment, tmp_path: Path) -> None:
    file = tmp_path / "new" / "episodes.csv"
    with Client(recording.target) as client, client.episode(agent="minigrid-memory-robust") as other:
        other.act(client.frame(name, 0))
    assert shelm(["export", name, other.episode_id, "--out", str(file)]) == 0
    assert shelm(["export", name, other.episode_id, "--out", str(file.with_suffix(".jsonl"))]) == 0
    with file.open(newline="") as table:
        rows = list(csv.DictReader(table))
    lines = [json.loads(line) for line in file.with_suffix(".jsonl").read_text().splitlines()]
    assert {row["agent"] for row in rows} == {"minigrid-memory", "minigrid-memory-robust"}
    assert [told(row) for row in rows] == [
        (line["episode_id"], line["step"], line["action"], line["value"], [tuple(pair) for pair in line["words"]])
        for line in lines
    ]
    assert sorted(path.name for path in file.parent.iterdir()) == ["episodes.csv", "episodes.jsonl"], "nothing half written"


def test_parquet_has_the_same_rows_with_types(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pyarrow import parquet

    file = tmp_path / "episodes.parquet"
    assert shelm(["export", name, "--out", str(file)]) == 0
    assert shelm(["export", name, "--out", str(file.with_suffix(".jsonl"))]) == 0
    capsys.readouterr()
    table = parquet.read_table(file)
    lines = [json.loads(line) for line in file.with_suffix(".jsonl").read_text().splitlines()]
    rows = table.to_pylist()
    assert [row.pop("time").isoformat() for row in rows] == [line.pop("time") for line in lines]
    words = [[(one["word"], pytest.approx(one["similarity"])) for one in row.pop("words")] for row in rows]
    assert words == [[tuple(pair) for pair in line.pop("words")] for line in lines]
    assert [row.pop("value") for row in rows] == [pytest.approx(line.pop("value")) for line in lines]
    assert rows == lines
    assert {str(table.schema.field(one).type) for one in ("step", "time")} == {"int64", "timestamp[us, tz=UTC]"}
    assert shelm(["export", name, "--format", "parquet"]) == 1
    assert "--format parquet needs --out" in capsys.readouterr().err


def told(row: dict[str, str]) -> tuple[Any, ...]:
    ranks = range(1, sum(key.startswith("word_") for key in row) + 1)
    words = [(row[f"word_{rank}"], float(row[f"similarity_{rank}"])) for rank in ranks if row[f"word_{rank}"]]
    return row["episode_id"], int(row["step"]), row["action"], float(row["value"]), words


def test_a_gif_shows_frame_and_caption_of_each_step(name: str, recording: Deployment, tmp_path: Path) -> None:
    file = tmp_path / "episode.gif"
    assert shelm(["export", name, "--out", str(file), "--fps", "5"]) == 0
    with Image.open(file) as film:
        durations, pictures = [], list[NDArray[np.uint8]]()
        for index in range(getattr(film, "n_frames", 0)):
            film.seek(index)
            durations.append(film.info["duration"])
            pictures.append(np.asarray(film.convert("RGB")))
    check_film(pictures, name, recording.target, tolerance=8)
    assert set(durations) == {200}


def test_an_mp4_shows_frame_and_caption_of_each_step(
    name: str, recording: Deployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import av

    file = tmp_path / "episode.mp4"
    assert shelm(["export", name, "--out", str(file), "--fps", "5"]) == 0
    assert capsys.readouterr().out.strip() == str(file)
    with av.open(str(file)) as container:
        (stream,) = container.streams.video
        assert (stream.codec_context.name, stream.pix_fmt, str(stream.average_rate)) == ("h264", "yuv420p", "5")
        pictures = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(stream)]
    check_film(pictures, name, recording.target, tolerance=12)


def test_films_of_several_episodes_are_files_of_a_folder_and_frames_that_are_missing_are_grey(
    name: str, recording: Deployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Client(recording.target) as client:
        for step in range(2):
            client.act(client.frame(name, step), "a:gap")
            wait_for("the frame is recorded", partial(recorded, client, "a:gap", step), seconds=30)
    next(Path(recording.settings["SHELM_RECORD"]).rglob("a:gap/0.png")).unlink()
    assert shelm(["export", name, "a:gap", "--format", "gif", "--out", str(tmp_path / "films"), "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told == [{"episode_id": one, "file": str(tmp_path / "films" / f"{one}.gif")} for one in (name, "a:gap")]
    with Image.open(told[1]["file"]) as film:
        middles = []
        for index in range(2):
            film.seek(index)
            middles.append(np.asarray(film.convert("RGB"))[40:200, 40:200])
    assert [len(np.unique(middle)) == 1 for middle in middles] == [True, False]


def test_a_recording_for_rerun_has_frames_words_action_and_value(
    name: str, played: list[Transition], tmp_path: Path
) -> None:
    pytest.importorskip("rerun", reason="rerun-sdk (740 MB with what it needs) is not installed")
    file = tmp_path / "episode.rrd"
    assert shelm(["export", name, "--out", str(file)]) == 0
    printed = subprocess.run(
        [sys.executable, "-m", "rerun", "rrd", "print", "-v", str(file)], capture_output=True, text=True, check=True
    ).stdout
    words = {token.text for step in played for token in step.act.tokens}
    for entity in ("/frame", "/action", "/value", "/reward", *(f"/words/{word}" for word in words)):
        assert entity in printed


@pytest.mark.parametrize("format_", ["gif", "mp4"])
def test_a_film_without_frames_says_how_to_record(
    format_: str, name: str, recording: Deployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"nothing.{format_}"
    assert shelm(["export", unrecorded(recording), "--out", str(file)]) == 1
    message = capsys.readouterr().err
    assert "has no recorded frame [FRAME_NOT_RECORDED]" in message
    assert "SHELM_RECORD" in message
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_ends_in_no_format_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shelm(["export", name, "--out", str(tmp_path / "episode.avi")]) == 1
    assert "--out" in (message := capsys.readouterr().err)
    assert ".mp4" in message
