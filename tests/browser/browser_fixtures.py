"""A real browser before a live agent. Everything is skipped, with the reason, where there is no Chromium.

Every page is watched while a test uses it: an error on the console, an exception, or a request that leaves this machine
fails the test. What tests measure is printed at the end.
"""

import json
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from browser_live import LONG_STEPS, Live, act_out, play_long, running
from browser_pages import Watched
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from support.frames import Frame

from deploy.local.stack import free_port

_MEASURED: dict[str, Any] = {}
expect.set_options(timeout=30_000)  # the machine may be busy


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser: SHELM_CHROMIUM, or what is on PATH."""
    path = os.environ.get("SHELM_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        pytest.skip("no Chromium: install it, or name it in SHELM_CHROMIUM")
    return path


@pytest.fixture(scope="module")  # Playwright's event loop stays in this thread, where nobody else can run one meanwhile
def browser(chromium: str) -> Iterator[Browser]:
    """A headless Chromium."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def live(chromium: str, tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[Live]:
    """Redis, the services in one process with tokens, recorded frames and an archive, and the inspector."""
    folder = tmp_path_factory.mktemp("browser")
    settings = {
        "SHELM_RECORD": str(folder / "frames"),
        "SHELM_ARCHIVE": str(folder / "archive"),
        "SHELM_METRICS_LISTEN": f"127.0.0.1:{free_port()}",
    }
    with running(folder, settings, tokens=True) as everything:
        yield everything


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser window of its own."""
    made = browser.new_context(viewport={"width": 1200, "height": 800}, accept_downloads=True)
    made.set_default_timeout(60_000)  # the machine may be busy
    yield made
    made.close()


@pytest.fixture
def signed_in(context: BrowserContext, live: Live) -> BrowserContext:
    """A window whose tab has been given a token."""
    context.add_init_script(f"sessionStorage.setItem('shelm-token', {json.dumps(live.token)})")
    return context


@pytest.fixture
def watched(signed_in: BrowserContext) -> Iterator[Watched]:
    """A watched page that has a token."""
    one = Watched(signed_in.new_page())
    yield one
    one.check()


@pytest.fixture
def page(watched: Watched) -> Page:
    """The page alone."""
    return watched.page


@pytest.fixture(scope="session")
def long_episode(live: Live, frames: tuple[Frame, ...]) -> str:
    """An episode of LONG_STEPS steps."""
    with live.gateway() as gateway:
        play_long(gateway, "long-episode", frames, LONG_STEPS)
    return "long-episode"


@pytest.fixture(scope="session")
def played_out(live: Live) -> str:
    """An ended episode of MemoryS11 in which the agent turns to what it has seen at the start: 13 steps."""
    with live.client() as client, live.gateway() as gateway:
        act_out(client, gateway, "played-out", 7)
    return "played-out"


@pytest.fixture(scope="session")
def measured() -> dict[str, Any]:
    """Where tests put what they have measured."""
    return _MEASURED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints what was measured."""
    if _MEASURED:
        terminalreporter.section("measured in the browser")
        for name, value in _MEASURED.items():
            terminalreporter.write_line(f"{name}: {value}")
