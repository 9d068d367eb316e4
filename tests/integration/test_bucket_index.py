"""The index of an archive in a bucket, on a real server that speaks S3: a start reads it, and no episode."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from shelm.v1 import agent_pb2
from support.archived import episode
from support.deployment import Standalone
from support.moto import moto
from support.waiting import wait_for

from services.policy.archive.archive import Archive
from services.policy.archive.index import ArchiveIndex

PLACE, COUNT = "s3://episodes/of agents", 60


@pytest.fixture
def access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    with moto(tmp_path, bucket="episodes") as access:
        for name, value in access.items():
            monkeypatch.setenv(name, value)
        yield access


class Requests:
    """What a bucket was asked since it was last looked at. folder: of its log."""

    def __init__(self, folder: Path) -> None:
        self._log, self._at = folder / "moto.log", 0

    def new(self) -> list[str]:
        """Method, address, and status of each."""
        found = re.findall(r'"(\w+ \S+) HTTP[^"]*" (\d+)', self._log.read_text())
        new, self._at = found[self._at :], len(found)
        return [" ".join(one) for one in new]


async def test_a_start_reads_the_index_and_no_episode(tmp_path: Path, access: dict[str, str]) -> None:
    archive, asked = Archive(PLACE), Requests(tmp_path)
    for number in range(COUNT):
        archive.write(*episode(f"e{number}", [["ball"]], total_reward=float(number % 2)))
    asked.new()
    first = ArchiveIndex(archive, shared=PLACE)
    first.refresh()
    await first.close()
    requests = asked.new()
    assert len([one for one in requests if ".gz" in one]) == COUNT  # one each
    assert len(requests) < COUNT + 12
    second = ArchiveIndex(archive, shared=PLACE)
    second.refresh()
    requests = asked.new()
    assert not [one for one in requests if ".gz" in one]
    assert len(requests) < 6
    await second.close()
    with Standalone(tmp_path / "run", {**access, "SHELM_ARCHIVE": PLACE}).running() as running:
        wanted = agent_pb2.SearchEpisodesRequest(saw=[agent_pb2.SeenWord(word="ball")], page_size=1)
        wait_for("it is found", lambda: running.gateway.call("SearchEpisodes", wanted).episodes, seconds=60)
        counted = running.gateway.call("CompareOutcomes", agent_pb2.CompareOutcomesRequest())
        assert (counted.succeeded, counted.failed) == (COUNT // 2, COUNT // 2)
    assert len([one for one in asked.new() if ".gz" in one]) < 10  # what was found was read
