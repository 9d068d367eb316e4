"""What training.speed makes of its measurements, and a short one."""

import json
from pathlib import Path
from typing import Any

import pytest

from training import speed


def round_of(seconds: float, cpu: float) -> dict[str, Any]:
    return {"steps": 100, "seconds": seconds, "cpu_seconds": cpu, "stages": {"memory": cpu / 4, "update": cpu / 2}}


def test_speeds_are_medians_and_shares_are_of_the_cpu_seconds() -> None:
    told = speed.summary([round_of(1, 1), round_of(2, 1), round_of(10, 5)])
    assert told["steps_per_second"] == {"median": 50, "min": 10, "max": 100}
    assert told["steps_per_cpu_second"]["median"] == 100
    assert told["shares"] == {"memory": 0.25, "update": 0.5}


def test_the_ratio_compares_trainings_of_one_round() -> None:
    ours, theirs = [round_of(1, 1), round_of(10, 1), round_of(2, 1)], [round_of(2, 3), round_of(20, 3), round_of(6, 3)]
    assert speed.ratios(ours, theirs) == {"seconds": 2, "cpu_seconds": 3}


@pytest.mark.long
@pytest.mark.slow
def test_a_short_measurement_against_this_checkout(tmp_path: Path) -> None:
    file = tmp_path / "speed.json"
    speed.main(["--json", str(file), "--quick", "--against", str(speed.HERE)])
    told = json.loads(file.read_text())
    stages = {"env", "retrieval", "memory", "policy", "update", "other"}
    for name in ("this", "against"):
        assert set(told[name]["shares"]) == stages
        assert sum(told[name]["shares"].values()) == pytest.approx(1, abs=0.02)
        assert told[name]["steps_per_second"]["median"] > 0
    assert set(told["ratio"]) == {"seconds", "cpu_seconds"}
    assert told["machine"]["torch"]
