"""The sheet for raters, and what is read from their answers."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from training.sheet import chosen, kappa, main, ratings_of

BUNDLE = Path(__file__).parents[3] / "models" / "minigrid-memory"


def write(path: Path, head: str, values: list[int | str]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["item", head], *([number, value] for number, value in enumerate(values, 1))])
    return path


def test_half_of_the_items_have_words_of_another_frame_and_no_frame_stands_twice() -> None:
    pairs = chosen(500, 60, np.random.default_rng(0))
    assert len({frame for frame, _ in pairs}) == 60
    assert 28 <= sum(frame != other for frame, other in pairs) <= 30  # a drawn other one may be the same
    assert pairs == chosen(500, 60, np.random.default_rng(0))


@pytest.mark.slow
def test_a_sheet_shows_pictures_and_words_and_not_whose_words_they_are(tmp_path: Path) -> None:
    env = ["--env", "MiniGrid-MemoryS7-v0", "--steps", "300", "--items", "12"]
    main(["make", "--bundle", str(BUNDLE), *env, "--out", str(tmp_path)])
    sheet = (tmp_path / "sheet.html").read_text()
    assert sheet.count("<img ") == sheet.count("data:image/png;base64,") == 12
    assert len(re.findall(r"<b>(key|ball|wall|floor|corridor)</b><br>", sheet)) == 12
    assert "own" not in sheet
    with (tmp_path / "key.csv").open(newline="") as file:
        assert {row["own"] for row in csv.DictReader(file)} == {"0", "1"}
    with pytest.raises(SystemExit, match=r"rating of item 1: expected 0 or 1, got ''"):
        main(["kappa", "--key", str(tmp_path / "key.csv"), str(tmp_path / "ratings.csv")])


def test_agreement_and_shares_are_those_worked_out_by_hand(tmp_path: Path) -> None:
    key = write(tmp_path / "key.csv", "own", [1, 1, 1, 1, 0, 0, 0, 0])
    one = write(tmp_path / "one.csv", "rating", [1, 1, 1, 1, 0, 0, 0, 1])
    two = write(tmp_path / "two.csv", "rating", [1, 1, 1, 0, 0, 0, 0, 1])
    text = kappa(key, [one, two])
    # They agree on 7 of 8; by chance on (5 * 4 + 3 * 4) / 64: kappa (0.875 - 0.5) / 0.5. Fleiss: chance (9/16)^2 + (7/16)^2.
    assert "| one, two | 0.750 |" in text
    assert "| all (Fleiss) | 0.746 |" in text
    assert "| one | 4 of 4 [0.51, 1.00] | 1 of 4 [0.05, 0.70] |" in text
    assert "| all (Fleiss) | - |" in kappa(key, [one])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,1\n2,x\n", r"rating of item 2: expected 0 or 1, got 'x'"),
        ("1,1\n", r"item: expected each of 1 to 2 once"),
        ("1,1\n1,0\n2,1\n", r"item: expected each of 1 to 2 once"),
    ],
)
def test_ratings_that_are_not_whole_are_refused(rows: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rater.csv"
    path.write_text(f"item,rating\n{rows}")
    with pytest.raises(ValueError, match=message):
        ratings_of(path, ["1", "2"])
