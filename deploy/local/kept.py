"""What `make serve` and `make demo` keep in their folder, because whoever tries agents wants to look at episodes afterwards.

Contract: the settings of the caller's environment come first; what it names is never bounded here.
"""

import os
from pathlib import Path

FRAMES_BYTES = 512 * 2**20  # of .run/frames: some 130,000 frames of MiniGrid


def run_folder() -> Path:
    """The folder for pids, logs, Redis's files and what is kept."""
    return Path(os.environ.get("SHELM_RUN_DIR", ".run"))


def kept_in(folder: Path) -> dict[str, str]:
    """Settings for a stack in this folder: an archive of ended episodes, and the newest frames, for explanations."""
    found = {}
    if "SHELM_ARCHIVE" not in os.environ:
        found["SHELM_ARCHIVE"] = str(folder.resolve() / "archive")
    if "SHELM_RECORD" not in os.environ:
        found["SHELM_RECORD"] = str(folder.resolve() / "frames")
        found["SHELM_RECORD_BYTES"] = os.environ.get("SHELM_RECORD_BYTES", str(FRAMES_BYTES))
    return found
