"""The generated part of docs/results/encoders.md: what CLIP models say, and what SHELM reaches with each.

Reads measured.json of training.clip.encoders, as NAME/measured.json in the archive of the runs. Failure policy: that of
training.report.raw; a missing field of measured.json ends the command.
"""

import json
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

from scipy.stats import spearmanr  # type: ignore[import-untyped]

from training.archive import read
from training.clip.encoders import ENCODERS
from training.report import tables
from training.report.raw import Result, load
from training.study import Run, baselines, encoders

HEAD = (
    "CLIP",
    "image tower",
    "batches",
    "named right, task's words",
    "named right, all words",
    "words",
    "key and ball with one word",
)
FEWEST = 5  # of a rank correlation


def generated(raw: Path) -> str:
    """Returns the text. raw: folder of the archives."""
    texts = read(raw / "encoders.tar.xz")
    measured = {name: json.loads(texts[f"{name}/measured.json"]) for name in ENCODERS if f"{name}/measured.json" in texts}
    done, missing = load(raw, encoders)
    shipped = [one for one in load(raw, baselines)[0] if one.run.method == "shelm" and not one.run.begins]
    found = _by_encoder([*shipped, *done])
    parts = [tables.grid(HEAD, [[name, *_shape(name), *_figures(one)] for name, one in measured.items()])]
    if found:
        parts += ["## What SHELM reaches on MemoryS11 alone", tables.scores_table(found, "CLIP")]
        parts += _correlations(found, measured)
    return "\n\n".join([*parts, "## Not run", tables.not_run(missing)])


def encoder_of(run: Run) -> str:
    """Returns the name of the CLIP of a run."""
    study, name, _ = run.name.split("-")
    return "shipped" if study == "baselines" else name


def _by_encoder(results: list[Result]) -> dict[str, list[Result]]:
    found = defaultdict(list)
    for result in results:
        found[encoder_of(result.run)].append(result)
    return {name: found[name] for name in ENCODERS if name in found}


def _shape(name: str) -> list[str]:
    one = ENCODERS[name]
    vision = one.vision or {}
    tower = "ResNet, 1-1-1-1" if "layers" in vision else f"ViT, patch {vision.get('patch_size', 8)}"
    return [f"{tower}, words permuted" if one.permuted else tower, str(one.iterations)]


def _figures(one: dict[str, Any]) -> list[str]:
    named = [f"{100 * one[kind]['top1']:.0f} %" for kind in ("task_words", "whole_vocabulary")]
    return [*named, str(one["words"]), f"{one['pairs_same_word']} of {one['pairs']} pairs ({100 * _same(one):.0f} %)"]


def _same(one: dict[str, Any]) -> float:
    return float(one["pairs_same_word"] / one["pairs"])


def _correlations(found: dict[str, list[Result]], measured: dict[str, dict[str, Any]]) -> list[str]:
    """Returns how the mean return of each CLIP's runs goes with what it says, over CLIPs; none for fewer than `FEWEST`."""
    both = [name for name in found if name in measured]
    if len(both) < FEWEST:
        return []
    returns = [fmean(result.score("drawn") for result in found[name]) for name in both]
    rows = []
    for what, values in (
        ("named right, all words", [measured[name]["whole_vocabulary"]["top1"] for name in both]),
        ("key and ball with different words", [1 - _same(measured[name]) for name in both]),
    ):
        rows.append([what, str(len(both)), f"{spearmanr(values, returns).statistic:.2f}"])
    return [
        "## Does the return go with what the CLIP says?",
        tables.grid(["share of frames or pairs", "CLIPs", "Spearman's rho with the mean return"], rows),
    ]
