"""What the browser tests read from a page."""

import time
from typing import Any
from urllib.parse import urlsplit

from browser_live import BOTH
from playwright.sync_api import Page

# Writes down when each step's row was first there, in milliseconds since 1970.
NOTE_ROWS = """() => {
  window.firstSeen = {};
  const look = () => document.querySelectorAll('.rows .step').forEach((one) => {
    window.firstSeen[one.textContent] ??= performance.timeOrigin + performance.now();
  });
  new MutationObserver(look).observe(document.querySelector('.rows'), {childList: true, subtree: true, characterData: true});
  look();
}"""
CHART = """async () => {
  const echarts = await import('/static/vendor/echarts.esm.min.js');
  const area = document.querySelector('.chart'), chart = area && echarts.getInstanceByDom(area);
  const option = chart?.getOption();
  return option?.series?.length && {columns: option.xAxis[0].data, words: option.yAxis[0].data, cells: option.series[0].data,
    values: option.series[1].data, framed: option.series.find((one) => one.id === 'framed')?.data ?? [],
    influence: option.series.find((one) => one.id === 'memory')?.data?.map((one) => one?.value ?? null),
    width: chart.getWidth(), height: chart.getHeight()};
}"""
SCROLL = """async () => {
  const list = document.querySelector('.rows'), times = [];
  list.scrollTop = 0;
  let most = 0, last = await new Promise(requestAnimationFrame);
  for (let i = 0; i < 150; i++) {
    list.scrollTop += 400;
    const now = await new Promise(requestAnimationFrame);
    times.push(now - last);
    last = now;
    most = Math.max(most, list.querySelectorAll('[role=option]').length);
  }
  times.sort((a, b) => a - b);
  return {p50: times[75], p95: times[142], most, at: list.scrollTop};
}"""


class Watched:
    """A page and what it did that it should not. expected: texts of console errors that a test provokes."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.urls: list[str] = []
        self.expected: tuple[str, ...] = ()
        page.on(
            "console", lambda message: self.errors.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.urls.append(request.url))

    def check(self) -> None:
        """Fails if something is wrong."""
        assert not [text for text in self.errors if not any(part in text for part in self.expected)]
        hosts = {urlsplit(url).hostname for url in self.urls if not url.startswith("blob:")}
        assert hosts == {"127.0.0.1"}
        assert not [url for url in self.urls if BOTH in url or "token" in url]


def open_episode(page: Page, url: str, name: str) -> None:
    """Opens an episode and waits until its past is there."""
    page.goto(f"{url}/#/episode/{name}")
    page.wait_for_selector(".rows[data-ready]")


def selected(page: Page) -> int:
    """Number of the selected step."""
    return int(page.locator(".rows [aria-selected=true] .step").inner_text())


def chart_of(page: Page, columns: int) -> Any:
    """What the chart draws, once it draws so many columns."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = page.evaluate(CHART)
        if found and len(found["columns"]) == columns:
            return found
        page.wait_for_timeout(100)
    raise AssertionError(f"no chart of {columns} columns; the last one: {found and len(found['columns'])}")
