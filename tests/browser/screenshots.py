"""The pictures of docs/inspector.md, made from a live agent: `python -m pytest tests/browser/screenshots.py`.

Not a test, and not collected unless it is named: it writes docs/images/inspector-*.png.
"""

from browser_live import Live
from browser_pages import chart_of, open_episode
from playwright.sync_api import Browser, Page
from shelm import Client
from shelm.gym import minigrid_env
from shelm.v1 import agent_pb2
from support.process import REPOSITORY

pytest_plugins = ("browser_fixtures",)

IMAGES = REPOSITORY / "docs" / "images"
EPISODES = 8
LARGEST = 300_000  # bytes


def test_make_the_pictures(live: Live, browser: Browser) -> None:
    with live.client() as client:
        names = [f"memory-s11-seed-{seed}" for seed in range(EPISODES)]
        for seed, name in enumerate(names):
            act_out(client, live, name, seed, last=seed == EPISODES - 1)
    IMAGES.mkdir(exist_ok=True)
    page = opened(browser, live, dark=False, width=1100, height=720)
    page.goto(f"{live.url}/#/")
    page.get_by_role("link", name=names[0]).wait_for()
    page.wait_for_timeout(4000)  # the last words come one after the other
    page.locator("main").screenshot(path=IMAGES / "inspector-list.png")
    open_episode(page, live.url, names[0])
    ready(page, live, names[0])
    page.screenshot(path=IMAGES / "inspector-episode.png")
    page.locator(".chart").screenshot(path=IMAGES / "inspector-heat-map.png")
    page.keyboard.press("e")
    page.locator(".explanation table").first.wait_for()
    page.locator(".explanation").screenshot(path=IMAGES / "inspector-explain.png")
    phone = opened(browser, live, dark=True, width=390, height=844)
    open_episode(phone, live.url, names[0])
    ready(phone, live, names[0])
    phone.screenshot(path=IMAGES / "inspector-phone-dark.png")
    for path in IMAGES.glob("inspector-*.png"):
        assert path.stat().st_size < LARGEST, path


def opened(browser: Browser, live: Live, *, dark: bool, width: int, height: int) -> Page:
    """A page with a token."""
    context = browser.new_context(
        color_scheme="dark" if dark else "light", viewport={"width": width, "height": height}, device_scale_factor=1
    )
    context.add_init_script(f"sessionStorage.setItem('shelm-token', '{live.token}')")
    return context.new_page()


def ready(page: Page, live: Live, name: str) -> None:
    """Waits for chart and frames, and selects the last step."""
    with live.gateway() as gateway:
        steps = gateway.memory(name)
    chart_of(page, len(steps))
    page.locator(".strip img").first.wait_for()
    page.keyboard.press("End")
    page.wait_for_timeout(2500)  # the frames around it
