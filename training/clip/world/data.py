"""Renders the views on which the small CLIP of MiniWorld is trained: `python -m training.clip.world.data --out FOLDER`.

Contract: shard `i` is `shard-i.npz`, a pure function of (seed, i): `frames` uint8 (2,048, 60, 80, 3) and `captions`, one
JSON text per frame. Shards are written atomically; the command renders the missing ones, so it can be interrupted and
restarted at any time. Failure: a folder with another seed raises ValueError, because the views would be mixed.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.clip.world.scenes import Frames, Scenes
from training.clip.world.words import Said

FOLDER = Path("runs/clip-world-data")
SHARDS, VIEWS, CHUNK, SEED = 36, 2048, 64, 0


def _text(said: Said) -> str:
    return json.dumps({"words": said.words, "longer": said.longer, "true": sorted(said.true)})


def _said(text: str) -> Said:
    fields = json.loads(text)
    return Said(fields["words"], tuple(fields["longer"]), frozenset(fields["true"]))


def _same_seed(folder: Path, seed: int) -> None:
    """Records the folder's seed, or compares it with the record."""
    record = folder / "seed.json"
    if not record.exists():
        record.write_text(json.dumps(seed))
    elif (made := json.loads(record.read_text())) != seed:
        raise ValueError(f"seed: {folder} was made with {made}, not {seed}")


def _write_shard(path: Path, frames: list[Frames], said: list[Said]) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        np.savez(file, frames=np.concatenate(frames), captions=np.array([_text(item) for item in said]))
    os.replace(temporary, path)


def make(folder: Path, *, seed: int = SEED, shards: int = SHARDS, views: int = VIEWS) -> None:
    """Renders the shards that are missing in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    _same_seed(folder, seed)
    paths = [folder / f"shard-{index:03}.npz" for index in range(shards)]
    missing = [(index, path) for index, path in enumerate(paths) if not path.exists()]
    if not missing:
        return
    scenes = Scenes()
    with tqdm(total=len(missing) * views, desc="views", unit="view", mininterval=5) as bar:
        for index, path in missing:
            rng = np.random.default_rng((seed, index))
            frames, said = [], []
            for begin in range(0, views, CHUNK):
                drawn, captions = scenes.draw(rng, min(CHUNK, views - begin))
                frames.append(drawn)
                said += captions
                bar.update(len(drawn))
            _write_shard(path, frames, said)


def load(folder: Path) -> tuple[Frames, list[Said]]:
    """Returns all frames uint8 (rows, 60, 80, 3) of a folder with their captions, in the order of the shards."""
    frames, said = [], []
    for path in sorted(folder.glob("shard-*.npz")):
        with np.load(path) as shard:
            frames.append(shard["frames"])
            said += [_said(text) for text in shard["captions"].tolist()]
    return np.concatenate(frames), said


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the views the small CLIP of MiniWorld is trained on.")
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--shards", type=int, default=SHARDS, help=f"number of shards, of {VIEWS} views each")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    make(options.out, seed=options.seed, shards=options.shards)


if __name__ == "__main__":
    main()
