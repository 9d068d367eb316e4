"""One episode on the page, while an agent acts in it."""

import statistics
import time
from typing import Any

from browser_live import LONG_STEPS, Live
from browser_pages import NOTE_ROWS, SCROLL, Watched, chart_of, open_episode, selected
from playwright.sync_api import Page, expect
from support.frames import Frame
from support.gateway import play

pytest_plugins = ("browser_fixtures",)

ACTS = 30


def test_words_are_on_the_page_within_a_second_of_the_reply(
    live: Live, page: Page, name: str, frames: tuple[Frame, ...], measured: dict[str, Any]
) -> None:
    with live.client() as client, client.episode(name) as episode:
        episode.act(frames[0])
        open_episode(page, live.url, name)
        page.evaluate(NOTE_ROWS)
        replied = {}
        for frame in frames[1 : ACTS + 1]:
            act = episode.act(frame)
            replied[act.step] = time.time() * 1000
            page.wait_for_timeout(50)
        page.wait_for_function(f"() => window.firstSeen['{ACTS}']")
        seen = page.evaluate("() => window.firstSeen")
        memory = {step.step: step for step in episode.memory()}
    delays = [seen[str(step)] - at for step, at in replied.items()]
    measured["delay from reply to page, ms (median, max, n)"] = (
        round(statistics.median(delays)),
        round(max(delays)),
        len(delays),
    )
    assert statistics.median(delays) < 1000
    words = page.locator(".rows [role=option]").last.locator(".word")
    assert words.all_inner_texts() == [f"{token.text} {token.similarity:.2f}" for token in memory[ACTS].tokens]
    expect(page.locator(".facts-line")).to_contain_text("ended")


def test_a_paused_page_stays_where_it_is_and_says_what_is_new(
    live: Live, page: Page, name: str, frames: tuple[Frame, ...]
) -> None:
    with live.client() as client, client.episode(name) as episode:
        for frame in frames[:20]:
            episode.act(frame)
        open_episode(page, live.url, name)
        expect(page.locator(".follow")).to_have_text("Pause")
        assert selected(page) == 19
        page.locator(".follow").click()
        for frame in frames[20:25]:
            episode.act(frame)
        expect(page.locator(".follow")).to_have_text("Follow (5 new)")
        assert selected(page) == 19
        page.locator(".follow").click()
        expect(page.locator(".rows [aria-selected=true] .step")).to_have_text("24")


def test_jump_leads_to_the_step_and_pauses(live: Live, page: Page, long_episode: str) -> None:
    open_episode(page, live.url, long_episode)
    assert selected(page) == LONG_STEPS - 1
    page.locator("#goal").fill("1234")
    page.locator("#goal").press("Enter")
    expect(page.locator(".rows [aria-selected=true] .step")).to_have_text("1234")
    expect(page.locator(".follow")).to_have_text("Follow")
    expect(page.locator(".detail")).to_contain_text("Step 1234:")


def test_the_window_ends_where_the_api_says(live: Live, page: Page, long_episode: str) -> None:
    with live.gateway() as gateway:
        steps = gateway.memory(long_episode, from_step=LONG_STEPS - 100)
    first = next(step.step for step in steps if step.in_window)
    open_episode(page, live.url, long_episode)
    expect(page.locator(".facts-line")).to_contain_text(f"window: steps {first} to {LONG_STEPS - 1}")
    page.locator("#goal").fill(str(first))
    page.locator("#goal").press("Enter")
    row = page.locator(f"#row-{first}")
    expect(row).not_to_have_class("outside")
    expect(page.locator(f"#row-{first - 1}")).to_have_class("outside")


def test_the_heat_map_has_a_column_per_step_and_a_row_per_word(
    live: Live, page: Page, name: str, frames: tuple[Frame, ...]
) -> None:
    with live.gateway() as gateway:
        play(gateway, name, frames[:40])
        steps = gateway.memory(name)
    open_episode(page, live.url, name)
    chart = chart_of(page, 40)
    assert chart["columns"] == [str(step.step) for step in steps]
    assert set(chart["words"]) == {token.text for step in steps for token in step.tokens}
    cells = {(column, chart["words"][row]): similarity for column, row, similarity in chart["cells"]}
    assert cells == {(i, token.text): token.similarity for i, step in enumerate(steps) for token in step.tokens}
    assert chart["values"] == [step.value for step in steps]
    assert chart["width"] > 600
    assert chart["height"] > 200


def test_a_long_episode_scrolls_smoothly_with_few_rows(
    live: Live, page: Page, long_episode: str, measured: dict[str, Any]
) -> None:
    open_episode(page, live.url, long_episode)
    chart_of(page, LONG_STEPS)
    result = page.evaluate(SCROLL)
    measured[f"scrolling {LONG_STEPS} steps, ms a frame (p50, p95), most rows"] = (
        round(result["p50"], 1),
        round(result["p95"], 1),
        result["most"],
    )
    assert result["at"] == 150 * 400
    assert 0 < result["most"] <= 40
    assert result["p95"] < 500


def test_frames_around_the_step_are_shown_and_only_those(
    live: Live, watched: Watched, name: str, frames: tuple[Frame, ...]
) -> None:
    with live.gateway() as gateway:
        play(gateway, name, frames[:60])
        gateway.end(name)
    page = watched.page
    open_episode(page, live.url, name)
    images = page.locator(".strip img")
    expect(images.first).to_have_js_property("naturalWidth", frames[0].shape[1])
    asked = {url.rpartition("/")[2] for url in watched.urls if "/frames/" in url}
    assert images.count() < 20
    assert len(asked) <= images.count() + 1
    page.locator(".strip button").nth(3).click()
    expect(page.locator(".rows [aria-selected=true] .step")).to_have_text("3")


def test_a_step_is_explained_by_words_and_steps_with_bars(
    live: Live, page: Page, name: str, frames: tuple[Frame, ...]
) -> None:
    with live.gateway() as gateway:
        play(gateway, name, frames[:12], deterministic=True)
    open_episode(page, live.url, name)
    page.get_by_role("button", name="Explain this step").click()
    tables = page.locator(".explanation table")
    expect(tables).to_have_count(2)
    remembered = {token.text for step in door_memory(live, name) for token in step.tokens}
    named = tables.first.locator("tbody th").all_inner_texts()
    assert named
    assert set(named) <= remembered
    influences = [float(value) for value in tables.first.locator("meter").evaluate_all("all => all.map((one) => one.value)")]
    assert influences == sorted(influences, reverse=True)
    assert all(0 <= value <= 1 for value in influences)


def test_an_episode_that_is_not_there_is_said_so(live: Live, watched: Watched) -> None:
    watched.expected = ("404",)
    watched.page.goto(f"{live.url}/#/episode/nobody")
    expect(watched.page.get_by_role("alert")).to_contain_text("nobody")


def door_memory(live: Live, name: str) -> list[Any]:
    """The memory by the API."""
    with live.gateway() as gateway:
        return list(gateway.memory(name))
