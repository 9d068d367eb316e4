"""Bytes per step and per episode are the two numbers of a straight line."""

from benchmarks.capacity import slope


def test_the_slope_is_that_between_the_shortest_and_the_longest_episode() -> None:
    rows = [{"steps": 10, "bytes": 1500}, {"steps": 100, "bytes": 7000}, {"steps": 1010, "bytes": 51_500}]
    assert slope(rows) == {"per_step": 50.0, "per_episode": 1000.0}
