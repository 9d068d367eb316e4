"""`make test-faults`, second part: does the fault suite notice faults? Each is planted in a copy, where the suite must fail.

Contract: a fault is a change of one place of the source, found by a pattern. The unchanged copy passes first, so that a
failure is that of the fault. Failure policy: not 0 if the copy fails by itself, a fault goes unnoticed, or the place of a
fault is not found; then the list here has to follow the source.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
LINKED = ("models", "docs")  # large, and not changed
REPLICAS, POINTS = "tests/faults/test_replicas.py", "tests/faults/test_fail_points.py"


@dataclass(frozen=True)
class Fault:
    """A change that the suite must notice. pattern: of the whole source file, found once."""

    name: str
    file: str
    pattern: str
    replacement: str
    tests: str  # a part of the suite that must notice, so that this takes seconds


FAULTS = (
    Fault(
        "a step is committed without a look at the digest of its history",
        "services/store/scripts.py",
        r"^if known\[4\] ~=[^\n]*return \{\{'STALE', committed\}\} end$",
        "",
        "tests/integration/test_episode_store.py",
    ),
    Fault(
        "a retry appends",
        "services/store/scripts.py",
        r"^if step <= committed then$",
        "if step <= committed then step = committed + 1; ARGV[1] = tostring(step); ARGV[2] = known[4] end\n\\g<0>",
        f"{REPLICAS}::test_two_clients_that_race_through_one_episode_get_the_same_answers_and_it_has_each_step_once",
    ),
    Fault(
        "episodes draw from one generator",
        "agent/policy/heads.py",
        r"^    return np\.random\.Generator\(np\.random\.Philox\(key=\[seed, step\]\)\)$",
        '    return globals().setdefault("_shared", np.random.default_rng(0))',
        f"{REPLICAS}::test_a_whole_episode_that_is_sent_at_once_with_every_step_twice_is_taken_in_its_order",
    ),
    Fault(
        "a lock for each call instead of each episode",
        "services/policy/actor.py",
        r"^        return self\._locks\.setdefault\(call\.episode_id, _Turns\(\)\)$",
        "        return _Turns()",
        f"{REPLICAS}::test_a_whole_episode_that_is_sent_at_once_with_every_step_twice_is_taken_in_its_order",
    ),
    Fault(
        "an answer before its commit",
        "services/policy/actor.py",
        r"^            committed = await self\._commits\.put\(commits\) if commits else \[\]$",
        "            later = lambda: asyncio.ensure_future(self._commits.put(commits))\n"
        "            asyncio.get_running_loop().call_later(0.05, later)\n"
        "            committed = [Committed() for _ in commits]",
        f"{POINTS} -k answered",
    ),
    Fault(
        "a stopping server cancels",
        "services/runtime/server.py",
        r"^        self\._drain\.begin\(\)\n        await self\._drain\.finish\(self\._settings\.stop_grace\)$",
        "",
        f"{REPLICAS}::test_a_rolling_restart_under_load_hurts_no_episode",
    ),
)


def copy(to: Path) -> None:
    """What is needed of the repository; the source as it is in the working tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        source = REPOSITORY / name
        if name and source.is_file() and name.partition("/")[0] not in LINKED:
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            (to / name).write_bytes(source.read_bytes())
    for name in LINKED:
        (to / name).symlink_to(REPOSITORY / name)


def passes(folder: Path, tests: Sequence[str]) -> bool:
    """Whether these tests pass in the copy."""
    places = [str(folder), str(folder / "clients/python/src")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *tests],
        cwd=folder,
        env={**os.environ, "FAULT_HITS": "4", "PYTHONPATH": os.pathsep.join(places)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):  # 1: tests ran, and failed
        raise RuntimeError(f"pytest ended with {done.returncode}:\n{done.stdout[-2000:]}")
    return done.returncode == 0


def noticed(fault: Fault, folder: Path) -> bool:
    """Plants a fault, runs its tests, and takes it away again."""
    path = folder / fault.file
    source = path.read_text()
    changed, count = re.subn(fault.pattern, fault.replacement, source, flags=re.MULTILINE)
    if count != 1:
        raise RuntimeError(f"{fault.name}: its place was found {count} times in {fault.file}")
    path.write_text(changed)
    try:
        return not passes(folder, fault.tests.split())
    finally:
        path.write_text(source)


def main() -> int:
    """Plants all faults, one after the other."""
    with tempfile.TemporaryDirectory(prefix="shelm-faults-") as name:
        folder = Path(name)
        copy(folder)
        if not passes(folder, sorted({fault.tests.split()[0].partition("::")[0] for fault in FAULTS})):
            print("the suite fails without any fault")
            return 1
        missed = 0
        for fault in FAULTS:
            began = time.monotonic()
            found = noticed(fault, folder)
            missed += not found
            print(f"{'noticed' if found else 'NOT NOTICED'} ({time.monotonic() - began:.0f} s): {fault.name}", flush=True)
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
