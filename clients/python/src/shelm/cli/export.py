"""`shelm export`: episodes as JSON lines, CSV, Parquet, GIF, MP4, a Rerun recording or a dataset of LeRobot.

JSON lines and CSV of all episodes are one output, standard output without --out; Parquet is one file, and a dataset one new
folder, --out. The others are one file for each episode: --out, or EPISODE.FORMAT in the folder --out if there are several.
Names of files are printed; a JSON line has episode_id, file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from shelm.cli.errors import CommandError
from shelm.cli.names import episode_named
from shelm.cli.terminal import line_of_json
from shelm.client import Client
from shelm.export import (
    Recorded,
    read,
    write_csv,
    write_gif,
    write_jsonl,
    write_lerobot,
    write_mp4,
    write_parquet,
    write_rrd,
)
from shelm.export.recorded import complete

ROWS = {"jsonl": write_jsonl, "csv": write_csv}
FILMS = {"gif": write_gif, "mp4": write_mp4}
WHOLE = ("parquet", "lerobot")  # all episodes in one place, which must be named
FORMATS = (*ROWS, *WHOLE, *FILMS, "rrd")


def export(client: Client, arguments: argparse.Namespace) -> None:
    """Writes the episodes."""
    out: Path | None = arguments.out
    format_ = _format(arguments.format, out)
    names = list(dict.fromkeys(episode_named(client, text) for text in arguments.episodes))
    try:
        if format_ in ROWS:
            _rows(client, names, format_, out)
        elif format_ in WHOLE:
            _whole(client, names, format_, arguments)
        else:
            _files(client, names, format_, arguments)
    except BrokenPipeError:  # of the standard output, not of a file
        raise
    except (ModuleNotFoundError, ValueError) as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f"--out {out}: {error.strerror}; choose a place that can be written") from None


def _format(given: str | None, out: Path | None) -> str:
    """Returns what --format says, or what --out ends in, or jsonl."""
    ending = out.suffix.removeprefix(".") if out else ""
    if given or not ending:
        return given or FORMATS[0]
    if ending not in FORMATS:
        raise CommandError(f"--out {out}: give --format, or a name that ends in {', '.join(f'.{one}' for one in FORMATS)}")
    return ending


def _rows(client: Client, names: list[str], format_: str, out: Path | None) -> None:
    episodes = (read(client, name) for name in names)
    if out is None:
        ROWS[format_](episodes, sys.stdout)
        return
    with complete(out) as part, part.open("w", encoding="utf-8", newline="") as file:
        ROWS[format_](episodes, file)
    print(out)


def _whole(client: Client, names: list[str], format_: str, arguments: argparse.Namespace) -> None:
    out: Path | None = arguments.out
    if out is None:
        raise CommandError(f"--format {format_} needs --out")
    episodes = (read(client, name) for name in names)
    if format_ == "parquet":
        write_parquet(episodes, out)
    else:
        write_lerobot(client, episodes, out, fps=arguments.fps)
    print(out)


def _files(client: Client, names: list[str], format_: str, arguments: argparse.Namespace) -> None:
    for name in names:
        file = _file(arguments.out, name, format_, several=len(names) > 1)
        _write(client, read(client, name), file, format_, arguments.fps)
        if arguments.json:
            line_of_json({"episode_id": name, "file": str(file)})
        else:
            print(file, flush=True)


def _file(out: Path | None, name: str, format_: str, *, several: bool) -> Path:
    if out is not None and not several:
        return out
    return (out or Path()) / f"{name}.{format_}"


def _write(client: Client, episode: Recorded, file: Path, format_: str, fps: int) -> None:
    if format_ in FILMS:
        FILMS[format_](client, episode, file, fps=fps)
    else:
        write_rrd(client, episode, file)
