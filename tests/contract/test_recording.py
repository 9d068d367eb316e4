"""Recorded frames: off unless asked for, pixel for pixel, and never at the expense of an Act."""

import io
import os
import shutil
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import fsspec  # type: ignore[import-untyped]
import numpy as np
import pytest
from PIL import Image
from shelm.v1 import agent_pb2
from support.deployment import Deployment, Standalone
from support.errors import Code, refused
from support.files import files_below
from support.frames import Frame
from support.gateway import Gateway, play
from support.moto import moto
from support.process import Process
from support.waiting import wait_for
from support.ways import DEPLOYMENTS

from deploy.local.stack import free_port

pytestmark = pytest.mark.usefixtures("_no_settings")
FROM_S3 = "recorded-in-s3"


def get_frame(gateway: Gateway, name: str, step: int) -> agent_pb2.Image:
    """GetFrame."""
    image: agent_pb2.Image = gateway.call("GetFrame", agent_pb2.GetFrameRequest(episode_id=name, step=step)).frame
    return image


def pixels(image: agent_pb2.Image) -> Frame:
    """The frame of a PNG, whose announced size must be its own."""
    assert image.encoding == agent_pb2.ENCODING_PNG
    frame = np.asarray(Image.open(io.BytesIO(image.data)).convert("RGB"))
    assert frame.shape == (image.height, image.width, 3)
    return frame


def recorded(gateway: Gateway, name: str, step: int) -> bool:
    """Whether GetFrame has it."""
    request = agent_pb2.GetFrameRequest(episode_id=name, step=step)
    future = gateway.stub.GetFrame.future(request, timeout=30, metadata=gateway.metadata)
    if future.exception() is None:
        return True
    assert future.code() is Code.NOT_FOUND
    return False


def recorded_metric(metrics: str, outcome: str) -> float:
    """The counter of an outcome, as Prometheus reads it."""
    with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    start = f'shelm_frames_recorded_total{{outcome="{outcome}"}}'
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(start))


@pytest.fixture(scope="module", params=[*DEPLOYMENTS, FROM_S3])
def recording(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, _no_settings: None
) -> Iterator[Deployment]:
    """Services that record: in each way of deploying into a folder, and one into S3."""
    folder = tmp_path_factory.mktemp("recording")
    with ExitStack() as running:
        if request.param == FROM_S3:
            access = running.enter_context(moto(folder, bucket="frames"))
            settings = {**access, "SHELM_RECORD": "s3://frames/of agents"}
            yield running.enter_context(Standalone(folder / "run", settings).running())
        else:
            place = {"SHELM_RECORD": str(folder / "frames")}
            yield running.enter_context(DEPLOYMENTS[request.param](folder / "run", place).running())


@contextmanager
def recording_to(folder: Path, place: str, **more: str) -> Iterator[tuple[Deployment, str]]:
    """A server that records at a place; with the address of its metrics."""
    metrics = f"127.0.0.1:{free_port()}"
    settings = {"SHELM_RECORD": place, "SHELM_METRICS_LISTEN": metrics, **more}
    with Standalone(folder / "run", settings).running() as running:
        yield running, metrics


def files(settings: Mapping[str, str]) -> dict[str, bytes]:
    """What lies at the place of a deployment, by name."""
    place = settings["SHELM_RECORD"]
    if not place.startswith("s3://"):
        found = {}
        for path in files_below(Path(place)):
            with suppress(FileNotFoundError):  # deleted meanwhile
                found[str(path.relative_to(place))] = path.read_bytes()
        return found
    client = fsspec.filesystem(
        "s3", key="test", secret="test", endpoint_url=settings["AWS_ENDPOINT_URL"], use_listings_cache=False
    )
    return {path.removeprefix(place[5:] + "/"): client.cat_file(path) for path in client.find(place)}


def test_a_recorded_frame_is_pixel_for_pixel_the_committed_one(
    recording: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    play(recording.gateway, name, frames[:6])
    for step in range(6):
        wait_for("it is recorded", lambda step=step: recorded(recording.gateway, name, step))  # type: ignore[misc]
        assert np.array_equal(pixels(get_frame(recording.gateway, name, step)), frames[step])
    assert {f"{name}/{step}.png" for step in range(6)} <= files(recording.settings).keys()


@pytest.mark.parametrize("odd", ["..", ".", "...", "..:..", ".hidden", "a" * 128, ":" * 128, "a..b", "-rf"])
def test_no_name_leads_out_of_the_place(recording: Deployment, name: str, frames: Sequence[Frame], odd: str) -> None:
    gateway = recording.gateway
    before = files(recording.settings).keys()
    gateway.act(odd, 0, frames[3])
    wait_for("it is recorded", lambda: recorded(gateway, odd, 0))
    assert np.array_equal(pixels(get_frame(gateway, odd, 0)), frames[3])
    (path,) = files(recording.settings).keys() - before
    folder, file = path.split("/")
    assert file == "0.png"
    assert folder not in (".", "..")
    if not recording.settings["SHELM_RECORD"].startswith("s3://"):
        place = Path(recording.settings["SHELM_RECORD"])
        assert {one.name for one in place.parent.iterdir()} <= {"frames", "run"}


def test_a_recorded_step_is_explained_without_sending_its_frame(
    recording: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    gateway = recording.gateway
    play(gateway, name, frames[:5])
    wait_for("it is recorded", lambda: recorded(gateway, name, 4))
    asked = agent_pb2.ExplainStepRequest(episode_id=name, step=4)
    sent = agent_pb2.ExplainStepRequest(episode_id=name, step=4)
    sent.observation.CopyFrom(get_frame(gateway, name, 4))
    one, other = (gateway.call("ExplainStep", request).decision for request in (asked, sent))
    assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)  # Triton may batch them differently
    assert (one.most_probable, one.value) == (other.most_probable, pytest.approx(other.value, abs=1e-5))


def test_a_step_that_is_not_committed_has_no_frame(recording: Deployment, name: str, frames: Sequence[Frame]) -> None:
    play(recording.gateway, name, frames[:2])
    for unknown, step in ((name, 2), (f"{name}:nobody", 0)):
        refusal = refused(lambda one=unknown, at=step: get_frame(recording.gateway, one, at))  # type: ignore[misc]
        assert refusal.kind == (Code.NOT_FOUND, "FRAME_NOT_RECORDED")


def test_a_bad_name_or_step_names_its_field(recording: Deployment) -> None:
    for name, step, field in (("a/b", 0, "episode_id"), ("../x", 0, "episode_id"), ("a", 2**60, "step")):
        refusal = refused(lambda one=name, at=step: get_frame(recording.gateway, one, at))  # type: ignore[misc]
        assert (refusal.code, list(refusal.fields)) == (Code.INVALID_ARGUMENT, [field])


def test_frames_are_never_in_redis(recording: Deployment, name: str, frames: Sequence[Frame]) -> None:
    play(recording.gateway, name, frames[:5])
    wait_for("all are recorded", lambda: all(recorded(recording.gateway, name, step) for step in range(5)))
    with recording.redis() as client:
        held = [client.dump(key) for key in client.scan_iter(match=f"*{name}*")]
    assert sum(map(len, held)) < 5 * 400
    for frame in frames[:5]:
        assert not [one for one in held if frame.tobytes()[1000:1300] in one or b"PNG" in one]


def test_a_frame_of_an_earlier_episode_of_the_name_is_not_taken_for_this_ones(
    recording: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    gateway = recording.gateway
    play(gateway, name, frames[:3])
    wait_for("all are recorded", lambda: all(recorded(gateway, name, step) for step in range(3)))
    with recording.redis() as client:  # as if it had expired
        for key in list(client.scan_iter(match=f"*{name}*")):
            client.delete(key)
    assert np.array_equal(pixels(get_frame(gateway, name, 2)), frames[2])  # a recording outlives its episode
    replica_or_same = gateway.act(name, 0, frames[5])
    assert not replica_or_same.replayed
    assert not recorded(gateway, name, 2)
    wait_for("the new one is recorded", lambda: recorded(gateway, name, 0))
    assert np.array_equal(pixels(get_frame(gateway, name, 0)), frames[5])


def test_without_recording_there_is_no_frame_and_nothing_is_written(
    deployment: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    play(deployment.gateway, name, frames[:2])
    refusal = refused(lambda: get_frame(deployment.gateway, name, 0))
    assert refusal.kind == (Code.FAILED_PRECONDITION, "RECORDING_OFF")
    assert "SHELM_RECORD" in refusal.message
    assert not list(deployment.folder.rglob("*.png"))


def test_a_folder_that_cannot_be_written_fails_no_act(tmp_path: Path, name: str, frames: Sequence[Frame]) -> None:
    in_the_way = tmp_path / "frames"
    with recording_to(tmp_path, str(in_the_way)) as (server, metrics):
        shutil.rmtree(in_the_way, ignore_errors=True)  # at its start the server would have refused it
        in_the_way.write_text("not a folder")
        answers = play(server.gateway, name, frames[:8])
        assert [answer.committed_step for answer in answers] == list(range(8))
        wait_for("all have failed", lambda: recorded_metric(metrics, "failed") == 8)
        assert not recorded(server.gateway, name, 0)
        assert in_the_way.read_text() == "not a folder"
        assert 1 <= server.logs(1000).count("were not recorded") <= 3  # not a line a frame


def test_a_full_disk_fails_no_act_and_the_next_frames_are_recorded(
    tmp_path: Path, name: str, frames: Sequence[Frame]
) -> None:
    folder = tmp_path / "frames" / name
    folder.mkdir(parents=True)
    (folder / "1.png.part").symlink_to("/dev/full")  # every write to it fails with ENOSPC
    with recording_to(tmp_path, str(tmp_path / "frames")) as (server, metrics):
        play(server.gateway, name, frames[:3])
        wait_for("two are written", lambda: recorded_metric(metrics, "written") == 2)
        wait_for("one has failed", lambda: recorded_metric(metrics, "failed") == 1)
        assert "No space left" in server.logs(1000)
        assert [recorded(server.gateway, name, step) for step in range(3)] == [True, False, True]
        assert sorted(path.name for path in folder.iterdir()) == ["0.png", "2.png"]


def test_storage_that_cannot_be_reached_fails_no_act_and_says_so_to_readers(
    tmp_path: Path, name: str, frames: Sequence[Frame]
) -> None:
    nowhere = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    with recording_to(tmp_path, "s3://frames", **nowhere) as (server, _):
        started = time.monotonic()
        answers = play(server.gateway, name, frames[:10])
        assert [answer.committed_step for answer in answers] == list(range(10))
        assert time.monotonic() - started < 60
        request = agent_pb2.GetFrameRequest(episode_id=name, step=0)
        refusal = refused(lambda: server.gateway.call("GetFrame", request, seconds=120))
        assert refusal.kind == (Code.UNAVAILABLE, "RECORDINGS_UNAVAILABLE")
        assert refusal.retry_after is not None


def test_old_frames_are_deleted_and_other_files_stay(tmp_path: Path, name: str, frames: Sequence[Frame]) -> None:
    place = tmp_path / "frames"
    other = [place / "notes.png", place / "old" / "readme.txt", place / "old" / "x.png"]
    for path in other:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        os.utime(path, (1, 1))
    with recording_to(tmp_path, str(place), SHELM_RECORD_RETENTION="8") as (server, _):
        play(server.gateway, name, frames[:3])
        wait_for("all are recorded", lambda: all(recorded(server.gateway, name, step) for step in range(3)), seconds=7)
        wait_for("all are deleted", lambda: not any(recorded(server.gateway, name, step) for step in range(3)))
        wait_for("the empty folder is gone", lambda: not (place / name).exists())
        assert [path.read_text() for path in other] == ["mine"] * 3
        server.gateway.act(name, 3, frames[3])
        wait_for("a new one is recorded", lambda: recorded(server.gateway, name, 3))


def test_what_waits_is_written_before_the_end(tmp_path: Path, frames: Sequence[Frame]) -> None:
    names = [f"end:{uuid.uuid4().hex}" for _ in range(4)]
    with recording_to(tmp_path, str(tmp_path / "frames")) as (server, _):
        for name in names:
            play(server.gateway, name, frames[:10])
    found = {str(path.relative_to(tmp_path / "frames")) for path in (tmp_path / "frames").rglob("*")}
    assert {f"{name}/{step}.png" for name in names for step in range(10)} <= found


@pytest.mark.parametrize("place", ["s3://", "ftp://host/frames", "http://x"])
def test_a_place_that_is_none_stops_the_start_with_its_name(tmp_path: Path, place: str) -> None:
    process = Process([sys.executable, "-m", "services.policy"], tmp_path / "log", {"SHELM_RECORD": place})
    try:
        wait_for("it ends", lambda: not process.alive, seconds=120)
    finally:
        process.stop()
    assert "SHELM_RECORD: " in (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()
