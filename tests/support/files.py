"""Files below a folder that others write to meanwhile."""

import os
from pathlib import Path


def files_below(folder: Path, ending: str = "") -> list[Path]:
    """Returns the files below the folder whose names end so; a folder that is deleted meanwhile has none.

    Path.rglob raises FileNotFoundError there.
    """
    return [Path(place) / name for place, _, names in os.walk(folder) for name in names if name.endswith(ending)]
