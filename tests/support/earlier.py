"""The default agent as it was first shipped: the bundle that stored episodes began with.

Its CLIP, which was trained on clean frames alone, lies beside those episodes; its policy is today's.
"""

import shutil
from pathlib import Path

from support.process import REPOSITORY

GOLDEN = REPOSITORY / "tests" / "golden" / "stored_episode"


def earlier_bundle(folder: Path) -> Path:
    """Makes the bundle in `folder`, which must not exist; returns it."""
    shutil.copytree(GOLDEN / "agent", folder)
    shutil.copy(REPOSITORY / "models" / "minigrid-memory" / "policy.safetensors", folder)
    return folder
