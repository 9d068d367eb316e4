"""What the inspector reads from metrics, against the library that writes them."""

import math

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from services.inspector.exposition import quantile, read_samples, since


def test_samples_are_those_that_the_library_writes() -> None:
    registry = CollectorRegistry()
    acts = Histogram("acts_seconds", "Acts", ["agent"], buckets=(0.01, 0.1), registry=registry)
    Gauge("other", "Not wanted", registry=registry).set(3)
    Counter("done_total", "Done", registry=registry).inc(2.5)
    for seconds in (0.005, 0.05, 7):
        acts.labels('a "b" \\ c').observe(seconds)
    found = read_samples(generate_latest(registry).decode(), ("acts_seconds_bucket", "acts_seconds_count", "done_total"))
    agent = ("agent", 'a \\"b\\" \\\\ c')  # as it is written
    assert found == {
        ("acts_seconds_bucket", (agent, ("le", "0.01"))): 1,
        ("acts_seconds_bucket", (agent, ("le", "0.1"))): 2,
        ("acts_seconds_bucket", (agent, ("le", "+Inf"))): 3,
        ("acts_seconds_count", (agent,)): 3,
        ("done_total", ()): 2.5,
    }


@pytest.mark.parametrize("text", ["", "# HELP x", "x", "x{", "x 1e", "<html>", "x{} \u00e9"])
def test_what_is_no_sample_is_passed_over(text: str) -> None:
    assert read_samples(text, ("x",)) == {}


def test_a_counter_that_has_become_smaller_has_begun_again() -> None:
    key, other, new = ("a", ()), ("b", ()), ("c", ())
    assert since({key: 7, other: 2, new: 4}, {key: 5, other: 9}) == {key: 2, other: 2, new: 4}


def test_a_quantile_lies_within_its_bucket() -> None:
    buckets = {0.01: 50.0, 0.1: 90.0, math.inf: 100.0}
    assert quantile(0.25, buckets) == pytest.approx(0.005)
    assert quantile(0.7, buckets) == pytest.approx(0.055)
    assert quantile(0.99, buckets) == 0.1  # no more is known
    assert quantile(0.5, {}) is None
    assert quantile(0.5, {0.01: 0.0, math.inf: 0.0}) is None
