"""Episodes as one Parquet file with a row for each step, with the extra `parquet` (pyarrow)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from shelm.export.recorded import Recorded, complete
from shelm.export.rows import cell, rows_of


def write_parquet(episodes: Iterable[Recorded], path: Path) -> None:
    """Writes the columns of JSON lines; `words` is a list of (word, similarity), `time` UTC, `action` text as in CSV."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise ModuleNotFoundError('pyarrow is missing; pip install "shelm-client[parquet]"') from None
    word = pa.struct([("word", pa.string()), ("similarity", pa.float32())])
    schema = pa.schema(
        [
            *(("episode_id", pa.string()), ("agent", pa.string()), ("agent_digest", pa.string())),
            *(("total_reward", pa.float64()), ("step", pa.int64()), ("time", pa.timestamp("us", tz="UTC"))),
            *(("action", pa.string()), ("value", pa.float32()), ("in_window", pa.bool_()), ("words", pa.list_(word))),
        ]
    )
    with complete(path) as part, parquet.ParquetWriter(part, schema) as writer:
        for episode in episodes:
            rows = [
                {
                    **row,
                    "time": step.time,
                    "action": str(cell(row["action"])),
                    "words": [{"word": text, "similarity": similarity} for text, similarity in row["words"]],
                }
                for row, step in zip(rows_of(episode), episode.steps)
            ]
            writer.write_table(pa.Table.from_pylist(rows, schema))
