"""Episodes taken along: rows for programs, films for people, a recording for Rerun.

Contract: an episode is read once through the public API (`read`); rows need nothing installed, `write_gif` Pillow, which the
client has, `write_mp4` the extra `video`, `write_rrd` `rerun`, `write_parquet` `parquet`, and `write_lerobot` lerobot. A
file or folder is complete or not there: it is written beside its place and then moved. Failure policy: `ShelmError` as
reading raises it; FrameNotRecorded says how to record where frames are needed and none is there; ModuleNotFoundError names
the extra; OSError is the file's.
"""

from __future__ import annotations

from shelm.export.film import write_gif, write_mp4
from shelm.export.lerobot import write_lerobot
from shelm.export.parquet import write_parquet
from shelm.export.recorded import Recorded, read
from shelm.export.rows import write_csv, write_jsonl
from shelm.export.rrd import write_rrd

__all__ = [
    "Recorded",
    "read",
    "write_csv",
    "write_gif",
    "write_jsonl",
    "write_lerobot",
    "write_mp4",
    "write_parquet",
    "write_rrd",
]
