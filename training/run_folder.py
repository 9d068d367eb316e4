"""The folder of a training run: one run, by one process at a time, from its beginning to its end.

Contract: `claim` takes a folder for the time of a block. A folder that holds a run is taken only to resume that run, with
the settings that decide what is learned; what a run has logged before its first checkpoint is dropped, because those steps
are taken again. Failure policy: `FolderRefused` says in one line what is there and what to do; nothing is changed then.
"""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

RUN, LOG, CHECKPOINT, WEIGHTS = "run.json", "log.jsonl", "checkpoint.pt", "policy.safetensors"
# What may change when a run goes on: where and how it is computed, how long it lasts, and what follows from the rest.
FREE = {"out", "resume", "device", "dtype", "threads", "checkpoint_every", "checkpoint_seconds", "steps", "commit"} | {
    *("frame", "actions", "policy", "tokens")
}


class CannotTrain(ValueError):  # noqa: N818
    """A setting of the run cannot be used."""


class FolderRefused(CannotTrain):
    """The folder is not for this run."""


@contextmanager
def claim(out: Path, run: dict[str, Any]) -> Iterator[None]:
    """Takes the folder, which is made if it is missing, for a run with these settings; `resume`: to go on with one."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderRefused(f"--out {out}: {error.strerror}") from None
    with (out / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderRefused(f"--out {out}: another process trains into this folder") from None
        if run["resume"]:
            _check_same(out, run)
            if not (out / CHECKPOINT).exists():
                _drop_beginnings(out)
        elif found := [name for name in (CHECKPOINT, WEIGHTS, LOG, RUN) if (out / name).exists()]:
            text = f"holds a run already ({found[0]}); --resume goes on with it, or name another folder"
            raise FolderRefused(f"--out {out} {text}")
        yield


def _check_same(out: Path, run: dict[str, Any]) -> None:
    if not (out / RUN).exists():
        return
    began = json.loads((out / RUN).read_text())
    for name in sorted(began.keys() & run.keys() - FREE):
        if began[name] != run[name]:
            text = f"the run in it began with {began[name]!r}, not {run[name]!r}; name another folder"
            raise FolderRefused(f"--{name.replace('_', '-')} of --out {out}: {text}")


def _drop_beginnings(out: Path) -> None:
    """Removes the log and curves of a run that was killed before its first checkpoint."""
    (out / LOG).unlink(missing_ok=True)
    shutil.rmtree(out / "tensorboard", ignore_errors=True)
