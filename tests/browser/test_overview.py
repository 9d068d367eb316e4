"""The overview: how the server is doing, from its list and its metrics."""

from pathlib import Path

import pytest
from browser_axe import violations
from browser_live import Live, inspector
from browser_pages import Watched
from playwright.sync_api import BrowserContext, Page, expect
from support.frames import Frame
from support.gateway import play

pytest_plugins = ("browser_fixtures",)
HIDE = """(hidden) => {
  Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
  document.dispatchEvent(new Event('visibilitychange'));
}"""


def tile(page: Page, name: str) -> str:
    """The figure of a tile."""
    return page.locator(".tile", has_text=name).locator("strong").inner_text()


def test_it_shows_rates_latency_episodes_and_memory_and_rests_while_hidden(
    live: Live, watched: Watched, name: str, frames: tuple[Frame, ...]
) -> None:
    page = watched.page
    page.goto(f"{live.url}/#/overview")
    row = page.locator(".load tbody tr").first
    expect(row.locator("td").nth(6)).to_contain_text(" of ")
    before = int(tile(page, "Running episodes"))
    with live.gateway() as gateway:
        play(gateway, name, frames[:40])
    expect(page.locator(".tile", has_text="Running episodes").locator("strong")).to_have_text(str(before + 1))
    expect(row.locator("td").nth(0)).not_to_have_text("0.0")
    expect(row.locator("td").nth(1)).to_contain_text("ms")
    expect(row.locator(".stages")).to_be_visible()
    assert "iB" in tile(page, "Redis")
    used, slots = tile(page, "Memory slots in use").split(" of ")
    assert 1 <= int(used) <= int(slots)
    assert violations(page) == []
    page.evaluate(HIDE, True)
    page.wait_for_timeout(500)
    asked = len([url for url in watched.urls if "/api/overview" in url])
    page.wait_for_timeout(6000)
    assert len([url for url in watched.urls if "/api/overview" in url]) == asked
    page.evaluate(HIDE, False)
    with page.expect_response("**/api/overview"):
        pass


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_without_metrics_it_says_what_would_tell_them_also_on_a_phone(
    context: BrowserContext, live: Live, tmp_path: Path, scheme: str
) -> None:
    context.add_init_script(f"sessionStorage.setItem('shelm-token', '{live.token}')")
    with inspector(live.deployment.target, tmp_path) as (_, url):
        page = context.new_page()
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(f"{url}/#/overview")
        expect(page.locator("main .note").last).to_contain_text("SHELM_INSPECTOR_METRICS")
        assert tile(page, "Redis") == "\u2013"
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        assert violations(page) == []
