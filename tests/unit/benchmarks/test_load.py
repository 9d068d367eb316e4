"""How the loads of several clients and rounds become figures."""

from benchmarks.load import _joined, ratios, summary
from benchmarks.load_client import Load


def test_clients_are_joined_as_if_they_were_one() -> None:
    ours = _joined(
        [Load([0.1, 0.2], 2.0, {"UNAVAILABLE": 1}, 0.5, acts=3), Load([0.3], 3.0, {"UNAVAILABLE": 2}, 0.25, acts=1)]
    )
    assert ours == Load([0.1, 0.2, 0.3], 3.0, {"UNAVAILABLE": 3}, 0.75, acts=4)


def rounds(name: str, rates: list[float]) -> list[dict[str, object]]:
    times = {"p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0, "refused": 0}
    return [{"deployment": name, "episodes": 4, "rate": rate, **times} for rate in rates]


def test_the_summary_has_a_median_for_every_case() -> None:
    (row,) = summary(rounds("processes", [10.0, 30.0, 20.0]))
    assert (row["deployment"], row["episodes"], row["rate"], row["p99_ms"]) == ("processes", 4, 20.0, 3.0)


def test_another_checkout_is_compared_round_by_round() -> None:
    rows = rounds("processes", [20.0, 2.0, 40.0]) + rounds("processes against", [10.0, 1.0, 40.0])
    assert ratios(rows, "against") == [{"deployment": "processes", "episodes": 4, "ratio": 2.0}]
    assert ratios(rounds("processes", [1.0]), "against") == []
