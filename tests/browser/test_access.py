"""Who sees what, with which token; keys alone; and axe's accessibility rules."""

from pathlib import Path

import pytest
from browser_axe import violations
from browser_live import ACTOR, READER, Live, inspector
from browser_pages import Watched, chart_of, open_episode, selected
from playwright.sync_api import Browser, BrowserContext, expect
from support.deployment import Standalone
from support.frames import Frame
from support.gateway import play

pytest_plugins = ("browser_fixtures",)


@pytest.fixture
def stranger(context: BrowserContext) -> Watched:
    """A page without a token."""
    one = Watched(context.new_page())
    one.expected = ("401", "403")
    return one


def give(watched: Watched, token: str) -> None:
    """Types a token into the dialog."""
    watched.page.get_by_label("Token with the scope").fill(token)
    watched.page.get_by_role("button", name="Use").click()


def test_a_wrong_token_is_refused_with_a_message_and_no_data(
    live: Live, stranger: Watched, name: str, frames: tuple[Frame, ...]
) -> None:
    with live.gateway() as gateway:
        play(gateway, name, frames[:3])
    page = stranger.page
    page.goto(f"{live.url}/#/episode/{name}")
    expect(page.locator("#token-reason")).to_have_text("The server asks for a token.")
    give(stranger, "wrong-token")
    expect(page.locator("#token-reason")).to_have_text("The server does not accept this token.")
    assert page.locator(".rows").count() == 0
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("token")
    assert page.locator(".rows").count() == 0
    stranger.check()


def test_a_token_that_may_read_sees_and_is_forgotten_on_request(
    live: Live, stranger: Watched, name: str, frames: tuple[Frame, ...]
) -> None:
    with live.gateway() as gateway:
        play(gateway, name, frames[:3])
    page = stranger.page
    page.goto(f"{live.url}/#/episode/{name}")
    give(stranger, READER)
    page.wait_for_selector(".rows[data-ready]")
    assert selected(page) == 2
    page.get_by_role("button", name="Forget token").click()
    expect(page.locator("#token-reason")).to_have_text("The server asks for a token.")
    stranger.check()
    assert not [url for url in stranger.urls if READER in url]


def test_a_token_that_may_only_act_is_refused(live: Live, stranger: Watched) -> None:
    page = stranger.page
    page.goto(f"{live.url}/#/")
    give(stranger, ACTOR)
    expect(page.get_by_role("alert")).to_contain_text("lacks the scope 'read'")
    assert page.locator(".episodes tbody tr").count() == 0
    stranger.check()


def test_everything_can_be_done_with_keys_alone(live: Live, watched: Watched, name: str, frames: tuple[Frame, ...]) -> None:
    with live.gateway() as gateway:
        play(gateway, name, frames[:30])
    page = watched.page
    page.goto(f"{live.url}/#/")
    page.get_by_role("link", name=name).wait_for()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.textContent") == name:
            break
    page.keyboard.press("Enter")
    page.wait_for_selector(".rows[data-ready]")
    assert selected(page) == 29
    moves = (("k", 28), ("ArrowUp", 27), ("ArrowLeft", 26), ("ArrowRight", 27), ("j", 28), ("ArrowDown", 29))
    for key, step in (*moves, ("Home", 0), ("End", 29), ("k", 28)):
        page.keyboard.press(key)
        assert selected(page) == step, key
    expect(page.locator(".follow")).to_have_text("Follow")
    page.keyboard.press("f")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert selected(page) == 29
    page.keyboard.press("g")
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    assert selected(page) == 7
    page.keyboard.press("?")
    expect(page.locator("#help-dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help-dialog")).not_to_be_visible()
    page.keyboard.press("e")
    page.wait_for_selector(".explanation[data-ready]")


def test_an_api_that_is_away_is_no_dead_end(
    context: BrowserContext, tmp_path: Path, name: str, frames: tuple[Frame, ...]
) -> None:
    deployment = Standalone(tmp_path / "run")
    with inspector(deployment.target, tmp_path) as (_, url):
        watched = Watched(context.new_page())
        watched.expected = ("503",)
        page = watched.page
        page.goto(f"{url}/#/episode/{name}")
        expect(page.get_by_role("alert")).to_contain_text("the public API cannot be reached")
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
        other = context.new_page()
        other.goto(f"{url}/#/")
        expect(other.locator("main .note")).to_contain_text("the public API cannot be reached; it is tried again by itself.")
        with deployment.running():
            play(deployment.gateway, name, frames[:3])
            expect(page.locator(".facts-line")).to_contain_text("3 steps")  # nobody has pressed anything
            expect(other.get_by_role("link", name=name)).to_be_visible()
        watched.check()


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        pytest.param(1200, "light", id="desktop-light"),
        pytest.param(390, "dark", id="phone-dark"),
        pytest.param(1200, "dark", id="desktop-dark", marks=pytest.mark.long),
        pytest.param(390, "light", id="phone-light", marks=pytest.mark.long),
    ],
)
def test_axe_finds_nothing(live: Live, browser: Browser, frames: tuple[Frame, ...], width: int, scheme: str) -> None:
    pair = [f"axe-{scheme}-{width}-{i}" for i in range(2)]
    with live.gateway() as gateway:
        play(gateway, pair[0], frames[:40])
        play(gateway, pair[1], frames[5:25])
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": 800}
    )
    context.add_init_script(f"sessionStorage.setItem('shelm-token', '{live.token}')")
    watched = Watched(context.new_page())
    page = watched.page
    page.goto(f"{live.url}/#/")
    page.get_by_role("link", name=pair[0]).wait_for()
    assert violations(page) == []
    open_episode(page, live.url, pair[0])
    chart_of(page, 40)
    page.get_by_role("button", name="Explain this step").click()
    page.wait_for_selector(".explanation[data-ready]")
    assert violations(page) == []
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), "wider than the screen"
    page.goto(f"{live.url}/#/compare/{pair[0]}/{pair[1]}")
    page.wait_for_selector(".rows[data-ready]")
    assert violations(page) == []
    page.goto(f"{live.url}/#/words")
    page.get_by_role("button", name="Count").click()
    page.locator(".counts tbody tr").first.wait_for()
    assert violations(page) == []
    page.keyboard.press("?")
    assert violations(page) == []
    watched.check()
    context.close()
