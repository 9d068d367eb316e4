"""The list, words over many episodes, the comparison, and what can be saved."""

import csv
import io
import json
import struct
from datetime import UTC, datetime

from browser_live import Live
from browser_pages import chart_of, open_episode
from playwright.sync_api import Page, expect
from shelm.v1 import agent_pb2
from support.frames import Frame
from support.gateway import play

pytest_plugins = ("browser_fixtures",)


def end(live: Live, name: str, reward: float) -> None:
    """Ends an episode with the sum of its rewards."""
    with live.gateway() as gateway:
        gateway.call("EndEpisode", agent_pb2.EndEpisodeRequest(episode_id=name, total_reward=reward))


def test_the_list_grows_counts_and_ends_by_itself(live: Live, page: Page, name: str, frames: tuple[Frame, ...]) -> None:
    page.goto(f"{live.url}/#/")
    row = page.locator("tr", has=page.get_by_role("link", name=name))
    with live.gateway() as gateway:
        play(gateway, name, frames[:3])
        expect(row).to_contain_text("running")
        expect(row.locator("td").nth(1)).to_have_text("3")
        words = gateway.memory(name)[-1].tokens[0].text
        expect(row.locator("td").last).to_contain_text(words)
        gateway.act(name, 3, frames[3])
        expect(row.locator("td").nth(1)).to_have_text("4")
    end(live, name, 0.75)
    expect(row).to_contain_text("ended")
    expect(row.locator("td").nth(4)).to_have_text("0.750")


def test_the_list_is_filtered_by_name_agent_and_state_and_paged(
    live: Live, page: Page, name: str, frames: tuple[Frame, ...]
) -> None:
    with live.gateway() as gateway:
        for i in range(27):
            gateway.act(f"{name}-{i}", 0, frames[i])
        gateway.end(f"{name}-0")
    page.goto(f"{live.url}/#/")
    place, rows = page.locator(".place"), page.locator(".episodes tbody tr")
    page.get_by_label("Filter by name or agent").fill(name)
    expect(place).to_have_text("27 episodes, page 1 of 2")
    expect(rows).to_have_count(25)
    page.get_by_role("button", name="Older").click()
    expect(rows).to_have_count(2)
    page.get_by_label("Filter by state").select_option("ended")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text(f"{name}-0")
    page.get_by_label("Filter by state").select_option("all")
    page.get_by_label("Filter by name or agent").fill("no-such-agent")
    expect(rows).to_have_count(0)


def test_words_are_counted_by_outcome(live: Live, page: Page, name: str, frames: tuple[Frame, ...]) -> None:
    counts: dict[str, list[int]] = {}
    with live.gateway() as gateway:
        for i, reward in enumerate((1.0, 0.0)):
            play(gateway, f"{name}-{i}", frames[i * 10 : i * 10 + 10])
            end(live, f"{name}-{i}", reward)
            for step in gateway.memory(f"{name}-{i}"):
                for token in step.tokens:
                    counts.setdefault(token.text, [0, 0])[i] += 1
    page.goto(f"{live.url}/#/words")
    page.evaluate("async () => { window.words = await import('/static/words.js'); }")
    page.get_by_role("button", name="Count").click()
    expect(page.locator("main .note")).to_contain_text("episodes,")
    expect(page.locator("progress")).to_have_js_property("value", page.locator("progress").evaluate("bar => bar.max"))
    assert page.locator(".counts tbody tr").count() >= len(counts)
    # The same count over these two episodes alone, whose memories are known.
    counted = page.evaluate(
        """async (names) => {
          const api = await import('/static/api.js');
          const read = await Promise.all(names.map(async (name) => [await api.getEpisode(name), await api.allMemory(name)]));
          return window.words.count(read, 'median').counts.map((one) => [one.word, one.good, one.bad]);
        }""",
        [f"{name}-0", f"{name}-1"],
    )
    assert {word: [good, bad] for word, good, bad in counted} == counts


def test_two_episodes_are_compared_step_by_step(live: Live, page: Page, name: str, frames: tuple[Frame, ...]) -> None:
    pair = [f"{name}-a", f"{name}-b"]
    with live.gateway() as gateway:
        play(gateway, pair[0], frames[:10], deterministic=True)
        play(gateway, pair[1], [*frames[:6], *frames[30:36]], deterministic=True)
        a, b = (gateway.memory(one) for one in pair)
    same = [
        one.action == two.action and [t.text for t in one.tokens] == [t.text for t in two.tokens]
        for one, two in zip(a, b, strict=False)
    ]
    page.goto(f"{live.url}/#/compare")
    page.get_by_label("First episode").fill(pair[0])
    page.get_by_label("Second episode").fill(pair[1])
    page.get_by_role("button", name="Compare", exact=True).click()
    page.wait_for_selector(".rows[data-ready]")
    differ = same.count(False) + 2  # two steps that only the second has
    first = same.index(False) if False in same else 10
    assert first >= 6
    expect(page.locator(".facts-line")).to_have_text(f"{differ} of 12 steps differ; the first is step {first}.")
    page.get_by_role("button", name="Next difference").click()
    expect(page.locator(".rows [aria-selected=true] .step").first).to_have_text(str(first))


def saved(page: Page, button: str) -> bytes:
    """The file that a button saves."""
    with page.expect_download() as coming:
        page.get_by_role("button", name=button).click()
    return coming.value.path().read_bytes()


def test_what_is_saved_is_what_the_api_says(live: Live, page: Page, long_episode: str) -> None:
    with live.gateway() as gateway:
        steps = [*gateway.memory(long_episode), *gateway.memory(long_episode, from_step=1000)]
    expected = [
        (one.step, [(t.text, t.similarity, t.id) for t in one.tokens], one.action.discrete, one.value) for one in steps
    ]
    open_episode(page, live.url, long_episode)
    lines = [json.loads(line) for line in saved(page, "JSON lines").splitlines()]
    assert [
        (one["step"], [(t["text"], t["similarity"], t["id"]) for t in one["tokens"]], one["action"], one["value"])
        for one in lines
    ] == expected
    assert [one["in_window"] for one in lines] == [one.in_window for one in steps]
    assert [one["time"] for one in lines] == [one.time.ToMilliseconds() for one in steps]
    table = list(csv.DictReader(io.StringIO(saved(page, "CSV").decode())))
    assert [
        (int(r["step"]), r["word"], float(r["similarity"]), int(r["id"]), int(r["action"]), float(r["value"])) for r in table
    ] == [(step, *token, action, value) for step, tokens, action, value in expected for token in tokens]
    assert datetime.fromisoformat(table[0]["time"]).astimezone(UTC).year >= 2024


def test_the_picture_is_a_png_of_the_chart(live: Live, page: Page, name: str, frames: tuple[Frame, ...]) -> None:
    with live.gateway() as gateway:
        play(gateway, name, frames[:15])
    open_episode(page, live.url, name)
    chart = chart_of(page, 15)
    picture = saved(page, "PNG")
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", picture[16:24]) == (2 * chart["width"], 2 * chart["height"])


def test_licences_are_shown_in_full(live: Live, page: Page) -> None:
    page.goto(f"{live.url}/#/licences")
    expect(page.get_by_role("heading", name="echarts")).to_be_visible()
    page.get_by_text("LICENSE.txt", exact=True).click()
    expect(page.locator("pre").first).to_contain_text("Apache License")
