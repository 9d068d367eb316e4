"""Words over many episodes: counts, intervals, and which word follows which, against the same from the API's memories."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from browser_live import Live
from playwright.sync_api import Page, expect
from shelm.gym.intervals import wilson
from shelm.v1 import agent_pb2
from support.frames import Frame
from support.gateway import play

pytest_plugins = ("browser_fixtures",)
LENGTHS = {1.0: 5, 0.0: 40, 0.5: 8}  # by reward, so two are solved; the long one does not outweigh the short ones
READ = """async (names) => {
  const api = await import('/static/api.js'), counting = await import('/static/counting.js');
  const read = await Promise.all(names.map(async (name) => [await api.getEpisode(name), await api.allMemory(name)]));
  return {counts: counting.count(read, 'zero').counts, found: counting.transitions(read, 'zero', 12),
    median: counting.limitOf(read, 'median'),
    intervals: [[0, 1], [3, 7], [100, 100]].map(([many, all]) => counting.wilson(many, all))};
}"""


@dataclass
class Played:
    """Episodes, and what their words are by the API: shares of steps by episode, and of pairs of neighbouring steps."""

    names: list[str] = field(default_factory=list)
    words: list[dict[str, float]] = field(default_factory=list)
    pairs: list[dict[tuple[str, str], float]] = field(default_factory=list)


@pytest.fixture
def played(live: Live, name: str, frames: tuple[Frame, ...]) -> Played:
    """One episode for each of LENGTHS."""
    made = Played()
    with live.gateway() as gateway:
        for i, (reward, length) in enumerate(LENGTHS.items()):
            made.names.append(f"{name}-{i}")
            play(gateway, f"{name}-{i}", frames[i * 10 : i * 10 + length])
            gateway.call("EndEpisode", agent_pb2.EndEpisodeRequest(episode_id=f"{name}-{i}", total_reward=reward))
            words = [[token.text for token in step.tokens] for step in gateway.memory(f"{name}-{i}")]
            held = Counter(word for step in words for word in set(step))
            made.words.append({word: many / length for word, many in held.items()})
            pairs = Counter((one[0], two[0]) for one, two in pairwise(words))
            made.pairs.append({pair: many / (length - 1) for pair, many in pairs.items()})
    return made


def test_every_episode_counts_the_same_in_shares_intervals_and_transitions(live: Live, page: Page, played: Played) -> None:
    page.goto(f"{live.url}/#/words")
    expect(page.get_by_role("button", name="Count")).to_be_visible()
    got = page.evaluate(READ, played.names)
    assert got["intervals"] == [pytest.approx(wilson(share, n)) for share, n in ((0.0, 1), (3 / 7, 7), (1.0, 100))]
    assert got["median"] == 0.5
    assert {one["word"] for one in got["counts"]} == set().union(*played.words)
    first, failed, second = played.words
    for one in got["counts"]:
        word = one["word"]
        solved = (first.get(word, 0) + second.get(word, 0)) / 2
        assert [one["solved"], one["failed"]] == pytest.approx([solved, failed.get(word, 0)])
        assert (one["solvedIn"], one["failedIn"]) == ((word in first) + (word in second), int(word in failed))
    differences = [abs(one["difference"]) for one in got["counts"]]
    assert differences == sorted(differences, reverse=True)
    assert len(got["found"]["nodes"]) <= 12
    shown = {one["word"] for one in got["found"]["nodes"]}
    expected = {
        pair: sum(episode.get(pair, 0) for episode in played.pairs) / 3
        for pair in set().union(*played.pairs)
        if set(pair) <= shown
    }
    assert {(one["from"], one["to"]): one["share"] for one in got["found"]["edges"]} == pytest.approx(expected)


def test_the_page_shows_intervals_and_a_graph_and_on_a_phone_its_table(live: Live, page: Page, played: Played) -> None:
    page.goto(f"{live.url}/#/words/{'/'.join(played.names)}")
    expect(page.locator("main .note").first).to_contain_text("2 solved (reward above 0.000), 1 failed; 0 of unknown outcome")
    row = page.get_by_role("region", name="Words").locator("tbody tr").first
    word = row.locator("th").inner_text()
    solved, known = (word in played.words[0]) + (word in played.words[2]), sum(word in one for one in played.words)
    low, high = (round(100 * bound) for bound in wilson(solved / known, known))
    expect(row.locator("td").nth(1)).to_have_text(f"{solved} of {known}, {low} to {high} %")
    graph, follows = page.locator("svg.graph"), page.get_by_role("region", name="Transitions").locator("tbody tr")
    expect(graph).to_be_visible()
    expect(graph.locator(".node")).to_have_count(
        min(12, len({word for one in played.pairs for pair in one for word in pair}))
    )
    assert 0 < graph.locator(".edge").count() <= 30
    page.get_by_label("solved: reward").select_option("median")
    expect(page.locator("main .note").first).to_contain_text("1 solved (reward above 0.500), 2 failed")
    page.wait_for_url("**?solved=median")
    page.set_viewport_size({"width": 390, "height": 844})
    expect(graph).to_be_hidden()
    expect(follows.first).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_the_address_counts_the_latest_again(live: Live, page: Page, played: Played) -> None:
    page.goto(f"{live.url}/#/words")
    page.get_by_label("latest").select_option("20")
    page.get_by_role("button", name="Count").click()
    expect(page.locator("main .note").first).to_contain_text("episodes,")
    page.wait_for_url("**/#/words?latest=20")
    page.reload()
    expect(page.locator("main .note").first).to_contain_text("episodes,")
    expect(page.locator("progress")).to_have_js_property("value", page.locator("progress").evaluate("bar => bar.max"))
