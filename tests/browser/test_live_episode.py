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
        expect(page.get_by_role("button", name="Pause")).to_be_visible()
        expect(page.locator(".follow")).to_be_hidden()
        assert selected(page) == 19
        page.get_by_role("button", name="Pause").click()
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
    expect(page.locator(".rows [aria-selected=true]")).to_be_in_viewport()
    page.wait_for_url("**/#/episode/long-episode/1234")


def test_the_address_holds_the_step_and_opens_there(live: Live, page: Page, long_episode: str) -> None:
    page.goto(f"{live.url}/#/episode/{long_episode}/1000")
    page.wait_for_selector(".rows[data-ready]")
    assert selected(page) == 1000
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/#/episode/long-episode/1001")
    page.reload()
    page.wait_for_selector(".rows[data-ready]")
    assert selected(page) == 1001
    page.keyboard.press("f")  # whoever follows has an address that does not grow old
    page.wait_for_url("**/#/episode/long-episode")


def test_the_scrubber_and_its_keys_move_through_the_steps(
    live: Live, page: Page, name: str, frames: tuple[Frame, ...]
) -> None:
    with live.gateway() as gateway:
        play(gateway, name, frames[:30])
        gateway.end(name)
    open_episode(page, live.url, name)
    scrubber, image = page.get_by_role("slider", name="Step"), page.locator(".frame")
    scrubber.fill("12")
    assert selected(page) == 12
    expect(image).to_have_attribute("alt", "Frame of step 12")
    expect(image).to_have_js_property("naturalWidth", frames[0].shape[1])
    scrubber.focus()
    for key, step in (("ArrowRight", 13), ("ArrowLeft", 12), ("End", 29), ("Home", 0)):
        page.keyboard.press(key)
        assert selected(page) == step, key
    page.get_by_label("Steps per second").select_option("16")
    scrubber.focus()
    page.keyboard.press("Space")
    expect(page.locator(".rows [aria-selected=true] .step")).to_have_text("29")
    expect(page.get_by_role("button", name="Play")).to_be_visible()  # it has stopped at the end
    expect(image).to_have_attribute("alt", "Frame of step 29")
    assert scrubber.input_value() == "29"


def test_a_past_step_has_the_window_it_was_decided_with(
    live: Live, page: Page, name: str, frames: tuple[Frame, ...]
) -> None:
    with live.gateway() as gateway:
        play(gateway, name, frames[:80])
        first = next(one.step for one in gateway.memory(name) if one.in_window)
        assert first > 5
        gateway.act(name, 80, frames[80])  # decided with the window that the API has just told
    open_episode(page, live.url, name)
    expect(page.locator(".facts-line")).to_contain_text(f"window: steps {first} to 80")
    page.keyboard.press("ArrowUp")
    expect(page.locator(".facts-line")).to_contain_text(f"window: steps {first - 1} to 79")
    page.locator(".rows").evaluate("(list, top) => { list.scrollTop = top; }", (first - 3) * 34)
    expect(page.locator(f"#row-{first - 2}")).to_have_class("outside")
    expect(page.locator(f"#row-{first - 1}")).not_to_have_class("outside")


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


def test_only_frames_that_are_looked_at_are_read(live: Live, watched: Watched, name: str, frames: tuple[Frame, ...]) -> None:
    with live.gateway() as gateway:
        play(gateway, name, frames[:60])
        gateway.end(name)
    page = watched.page
    page.goto(f"{live.url}/#/episode/{name}/40")
    image = page.locator(".frame")
    expect(image).to_have_js_property("naturalWidth", frames[0].shape[1])
    page.keyboard.press("ArrowRight")
    expect(image).to_have_attribute("alt", "Frame of step 41")
    page.keyboard.press("ArrowLeft")
    expect(image).to_have_attribute("alt", "Frame of step 40")
    assert [url.rpartition("/")[2] for url in watched.urls if "/frames/" in url] == ["40", "41"]


def test_pointing_at_the_timeline_shows_that_step_everywhere(
    live: Live, page: Page, name: str, frames: tuple[Frame, ...]
) -> None:
    with live.gateway() as gateway:
        play(gateway, name, frames[:10])
        gateway.end(name)
    open_episode(page, live.url, name)
    chart_of(page, 10)
    canvas = page.locator(".chart canvas").first
    box = canvas.bounding_box()
    assert box
    page.mouse.move(box["x"] + 118 + (box["width"] - 132) * 0.55, box["y"] + 20)  # the sixth of ten columns
    expect(page.locator("#row-5")).to_have_class("later over")
    expect(page.locator(".frame")).to_have_attribute("alt", "Frame of step 5")
    expect(page.locator(".detail")).to_contain_text("Step 5:")
    expect(page.locator(".plot .over")).to_be_visible()
    assert selected(page) == 0
    page.mouse.move(box["x"] + 10, 5)
    expect(page.locator(".frame")).to_have_attribute("alt", "Frame of step 0")
    page.mouse.click(box["x"] + 118 + (box["width"] - 132) * 0.55, box["y"] + 20)
    assert selected(page) == 5


def test_a_step_is_explained_by_words_and_steps_with_bars(
    live: Live, page: Page, name: str, frames: tuple[Frame, ...]
) -> None:
    with live.gateway() as gateway:
        play(gateway, name, frames[:12], deterministic=True)
    open_episode(page, live.url, name)
    explained(page)
    remembered = {token.text for step in door_memory(live, name) for token in step.tokens}
    for summary in page.locator(".explanation summary").all():
        summary.click()
    words = page.get_by_role("region", name="Influence of words")
    named = words.locator("tbody th").all_inner_texts()
    assert named
    assert set(named) <= remembered
    influences = [float(value) for value in words.locator("meter").evaluate_all("all => all.map((one) => one.value)")]
    assert influences == sorted(influences, reverse=True)
    assert all(0 <= value <= 1 for value in influences)
    chances = [float(text) for text in page.locator(".explanation .bars .figure").all_inner_texts()]
    assert abs(sum(chances) - 1) < 0.05


def explained(page: Page) -> None:
    """Explains the selected step, whose explanation must then be on the screen."""
    page.keyboard.press("e")
    page.wait_for_selector(".explanation[data-ready]")
    expect(page.locator(".explanation p").first).to_be_in_viewport()
    expect(page.get_by_role("button", name="Explain this step")).to_be_in_viewport()
    expect(page.locator(".rows [aria-selected=true]")).to_be_in_viewport()


def test_what_decided_is_drawn_into_the_timeline_and_nothing_is_said_to_be_nothing(
    live: Live, page: Page, played_out: str
) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    open_episode(page, live.url, played_out)
    expect(page.locator(".lane-tools")).to_contain_text("13 of 13 steps known")  # in the background, because it has ended
    page.wait_for_timeout(1000)  # it is drawn twice a second
    series = chart_of(page, 13)["influence"]
    most = max(range(13), key=lambda step: series[step])
    assert series[most] > 0.5  # where the agent turns to what it remembers
    least = min(range(1, 13), key=lambda step: series[step])
    page.locator(f"#row-{most}").click()
    explained(page)
    expect(page.locator(".explanation .verdict")).to_have_count(0)
    framed = chart_of(page, 13)["framed"]
    assert {column for column, _, _ in framed} <= set(range(most + 1))
    first = page.get_by_role("region", name="Influence of words").first.locator("tbody th").first.inner_text()
    with live.gateway() as gateway:
        steps = gateway.memory(played_out)
    rows = chart_of(page, 13)["words"]
    held = {one.step for one in steps if one.tokens[0].text == first and one.step <= most}
    assert {column for column, row, _ in framed if rows[row] == first} == held
    page.locator(".rows").focus()
    page.locator("#goal").fill(str(least))
    page.locator("#goal").press("Enter")
    explained(page)
    expect(page.locator(".explanation .verdict")).to_contain_text("Nothing in memory decided this step")
    expect(page.locator(".explanation .verdict")).to_contain_text("less than 0.05")
    assert chart_of(page, 13)["framed"] == []


def test_an_episode_that_is_not_there_is_said_so(live: Live, watched: Watched) -> None:
    watched.expected = ("404",)
    watched.page.goto(f"{live.url}/#/episode/nobody")
    expect(watched.page.get_by_role("alert")).to_contain_text("nobody")


def door_memory(live: Live, name: str) -> list[Any]:
    """The memory by the API."""
    with live.gateway() as gateway:
        return list(gateway.memory(name))
