"""`shelm.show`: what a notebook displays of a recorded episode, in a real browser, which may load nothing from elsewhere."""

from pathlib import Path

import shelm
from playwright.sync_api import Browser, expect
from shelm import Client
from shelm.gym import Transition
from support.deployment import Deployment

pytest_plugins = ("browser_fixtures",)


def test_a_notebook_shows_words_frames_and_values_by_step(
    recording: Deployment,
    played: list[Transition],
    browser: Browser,
    tmp_path: Path,
) -> None:
    name = played[0].act.episode_id
    with Client(recording.target) as client:
        shown = shelm.show(name, client)
        assert shown == shelm.show(client.episode(name)), "an episode knows its client"
    (tmp_path / "cell.html").write_text(f"<!doctype html>{shown._repr_html_()}")
    page, asked, failed = browser.new_page(), list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: failed.append(message.text))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto((tmp_path / "cell.html").as_uri())
    inside = page.frame_locator("iframe")
    scrubber, told = inside.get_by_role("slider", name="Step"), inside.locator("output")
    expect(scrubber).to_have_attribute("max", str(len(played) - 1))
    expect(inside.locator("rect.word")).to_have_count(sum(len(step.act.tokens) for step in played))
    for step in (played[-1], played[1]):
        scrubber.fill(str(step.act.step))
        expect(told).to_contain_text(f"step {step.act.step} ")
        expect(told).to_contain_text(step.act.tokens[0].text)
        expect(told).to_contain_text(f"value {step.act.value:.3f}")
        image = inside.get_by_alt_text(f"The frame of step {step.act.step}")
        expect(image).to_have_js_property("naturalWidth", 56)
    inside.locator("rect.word").nth(2).click()
    expect(scrubber).to_have_value("2")
    assert [url for url in asked if not url.startswith(("file:", "data:", "about:"))] == []
    assert failed == []
    page.close()
