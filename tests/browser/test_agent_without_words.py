"""An agent that keeps no words, on the page: its steps, actions and values are shown, and nothing pretends to be a word."""

from pathlib import Path

import pytest
from browser_axe import violations
from browser_live import running
from browser_pages import Watched
from playwright.sync_api import BrowserContext, expect
from support.frames import Frame
from support.gateway import play

pytest_plugins = ("browser_fixtures",)
BUNDLE = Path(__file__).parents[1] / "golden" / "wordless_episode" / "bundle"


def test_its_steps_are_shown_without_words(context: BrowserContext, tmp_path: Path, frames: tuple[Frame, ...]) -> None:
    pytest.importorskip("onnxruntime")
    settings = {"SHELM_AGENTS": str(BUNDLE), "SHELM_RECORD": str(tmp_path / "frames")}
    with running(tmp_path, settings) as live:
        with live.gateway() as gateway:
            actions = [answer.action.discrete for answer in play(gateway, "plain", frames[:6])]
        watched = Watched(context.new_page())
        page = watched.page
        page.goto(f"{live.url}/#/")
        row = page.locator("tr", has=page.get_by_role("link", name="plain"))
        expect(row.locator(".words")).to_have_text(f"action {actions[-1]}")
        row.get_by_role("link", name="plain").click()
        rows = page.get_by_role("listbox", name="Steps").get_by_role("option")
        expect(rows).to_have_count(len(actions))
        for i, action in enumerate(actions):
            expect(rows.nth(i).locator(".words")).to_have_text("")
            expect(rows.nth(i).locator(".facts")).to_contain_text(f"action {action}")
        expect(page.get_by_text("This agent keeps no words.")).to_be_visible()
        expect(page.get_by_role("button", name="Explain this step")).to_have_count(0)
        rows.nth(2).click()
        page.keyboard.press("e")  # there is nothing to explain
        expect(page.get_by_label("The value over steps 0 to 5")).to_be_visible()
        assert violations(page) == []
        watched.check()
