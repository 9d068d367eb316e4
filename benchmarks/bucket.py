"""A start with an archive in a bucket: `python -m benchmarks.bucket [--json FILE] [--quick] [--rounds N]`.

Archives synthetic episodes in a bucket of a server on this machine that speaks S3 (moto's, one Python process, which takes
some milliseconds a request), and times how long the index of the archive takes until it has all of them, in a new folder, as
at the start of a replica of policy: without an index in the bucket; then with one that has them all; then with one that
lacks the LATER newest. `requests` are those that the server's log has. Rounds are interleaved.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.deployments import bucket_server
from benchmarks.report import options, spread, table, write
from benchmarks.search import fill_archive
from services.policy.archive.archive import Archive
from services.policy.archive.index import ArchiveIndex

ARCHIVED, LATER, ROUNDS = 5_000, 50, 5
QUICK = (60, 5, 1)
Row = dict[str, Any]


def requests(log: Path) -> int:
    """Returns how many requests the server has answered."""
    return sum(line.count(' HTTP/1.1" ') for line in log.read_text().splitlines())


def start(archive: Archive, log: Path, shared: str) -> Row:
    """Makes the index in a new folder."""
    index, before, began = ArchiveIndex(archive, shared=shared), requests(log), time.monotonic()
    counts = list[int]()
    index.refresh(counts.append)
    row = {"read": sum(counts), "seconds": time.monotonic() - began, "requests": requests(log) - before}
    asyncio.run(index.close())
    return row


def measure(folder: Path, archived: int, later: int, rounds: int) -> dict[str, Any]:
    """Returns requests and seconds of each way to start."""
    place, found = "s3://bench/archive", dict[str, list[Row]]()
    with bucket_server(folder, "bench") as log:
        archive = Archive(place)
        fill_archive(archive, archived)
        found["no index in the bucket"] = [start(archive, log, "")]
        found["the first that keeps one there"] = [start(archive, log, place)]
        for number in tqdm(range(rounds), desc="rounds"):
            found.setdefault("an index that has all", []).append(start(archive, log, place))
            fill_archive(archive, later, seed=2 + number)
            found.setdefault(f"an index that lacks {later}", []).append(start(archive, log, place))
    rows = [
        {
            "start": name,
            "episodes_read": some[-1]["read"],
            "requests": spread([one["requests"] for one in some]),
            "seconds": spread([one["seconds"] for one in some]),
        }
        for name, some in found.items()
    ]
    return {"archived": archived, "rounds": rounds, "starts": rows}


def main() -> None:
    """Runs the command."""
    parser = options(__doc__)
    given = parser.parse_args()
    archived, later, rounds = QUICK if given.quick else (ARCHIVED, LATER, ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), archived, later, given.rounds or rounds)
    print(table(result["starts"]))
    write(result, given.json)


if __name__ == "__main__":
    main()
