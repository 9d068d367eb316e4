"""The pictures of README.md and docs/inspector.md, made from a live agent: `make pictures`.

Not a test, and not collected unless it is named: it writes docs/images/inspector-*.png, and inspector.gif, a film of the
page at work with a line below it that says what is done.
"""

import io
from dataclasses import dataclass, field
from pathlib import Path

from browser_live import Live, act_out
from browser_pages import chart_of, open_episode
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Browser, Page
from support.process import REPOSITORY

pytest_plugins = ("browser_fixtures",)

IMAGES = REPOSITORY / "docs" / "images"
EPISODES = 24
SHOWN, FORK, PLAIN = "memory-s11-seed-7", 11, 3  # an episode, the step that memory decides, and one that it does not
LARGEST, LARGEST_FILM = 300_000, 3_000_000  # bytes
DESKTOP, PHONE = (1280, 800), (390, 844)
LINE = 44  # pixels below the page
COLOURS = 255


def test_make_the_pictures(live: Live, browser: Browser) -> None:
    with live.client() as client, live.gateway() as gateway:
        for seed in range(EPISODES):
            act_out(client, gateway, f"memory-s11-seed-{seed}", seed, end=seed < EPISODES - 1)
    IMAGES.mkdir(exist_ok=True)
    stills(live, browser)
    film(live, browser)
    overview(live, browser)  # last, because it plays further episodes
    for path in IMAGES.glob("inspector-*.png"):
        assert path.stat().st_size < LARGEST, path
    assert (IMAGES / "inspector.gif").stat().st_size < LARGEST_FILM


def stills(live: Live, browser: Browser) -> None:
    """The pictures that do not move."""
    page = opened(browser, live, DESKTOP)
    listed(page, live)
    page.screenshot(path=IMAGES / "inspector-list.png")
    explained(page, live, FORK)
    page.screenshot(path=IMAGES / "inspector-episode.png")
    page.locator(".panel").screenshot(path=IMAGES / "inspector-explain.png")
    page.keyboard.press("w")
    without_ball(page)
    page.screenshot(path=IMAGES / "inspector-what-if.png")
    compared(page, live)
    page.screenshot(path=IMAGES / "inspector-compare.png")
    phone = opened(browser, live, PHONE, dark=True)
    explained(phone, live, FORK)
    phone.evaluate("() => scrollTo(0, 0)")
    phone.screenshot(path=IMAGES / "inspector-phone-dark.png")


@dataclass
class Film:
    """Pictures of a page, each with the line below it and how long it is shown, in milliseconds."""

    page: Page
    pictures: list[Image.Image] = field(default_factory=list)
    lasting: list[int] = field(default_factory=list)

    def take(self, line: str, milliseconds: int) -> None:
        """Adds the page as it is now."""
        shot = Image.open(io.BytesIO(self.page.screenshot()))
        width, height = shot.size
        picture = Image.new("RGB", (width, height + LINE), "#0b3d91")
        picture.paste(shot)
        ImageDraw.Draw(picture).text((18, height + 10), line, "#ffffff", ImageFont.load_default(20))
        picture = picture.resize((width * 3 // 4, (height + LINE) * 3 // 4), Image.Resampling.LANCZOS)
        self.pictures.append(picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE))
        self.lasting.append(milliseconds)

    def write(self, path: Path) -> None:
        """Writes a GIF that begins again."""
        first, *rest = self.pictures
        first.save(path, save_all=True, append_images=rest, duration=self.lasting, loop=0, optimize=True)


def film(live: Live, browser: Browser) -> None:
    """Twenty seconds of the page at work."""
    page = opened(browser, live, DESKTOP)
    listed(page, live)
    made = Film(page)
    made.take("The episodes, live: frame, reward, outcome, value", 2000)
    open_episode(page, live.url, SHOWN)
    known(page)
    for step in range(FORK + 1):
        made.take("Play: the agent sees a ball, and must turn to it at the fork, many steps later", 350)
        if step < FORK:
            page.keyboard.press("ArrowRight")
            page.get_by_alt_text(f"Frame of step {step + 1}").wait_for()
            page.wait_for_timeout(300)
    made.take("The lane 'memory' says which step is worth explaining", 1600)
    page.keyboard.press("e")
    page.locator(".explanation[data-ready]").wait_for()
    page.wait_for_timeout(700)
    made.take("e: which words decided this step? They are framed: it turned because of the ball it had seen", 4000)
    page.keyboard.press("w")
    page.locator(".whatif .bars").wait_for()
    made.take("w: what if its memory were another one?", 1400)
    without_ball(page)
    made.take("Without the ball it would have gone on", 3400)
    explained(page, live, PLAIN)
    made.take("And where memory decided nothing, that is what the page says", 3400)
    made.write(IMAGES / "inspector.gif")


def opened(browser: Browser, live: Live, size: tuple[int, int], *, dark: bool = False) -> Page:
    """A page with a token."""
    context = browser.new_context(
        color_scheme="dark" if dark else "light", viewport={"width": size[0], "height": size[1]}, device_scale_factor=1
    )
    context.add_init_script(f"sessionStorage.setItem('shelm-token', '{live.token}')")
    return context.new_page()


def listed(page: Page, live: Live) -> None:
    """Opens the list and waits for what is read episode by episode."""
    page.goto(f"{live.url}/#/")
    row = page.locator("tr", has=page.get_by_role("link", name="memory-s11-seed-0", exact=True))
    row.locator(".thumb img:not([hidden])").wait_for()


def known(page: Page) -> None:
    """Waits until it is known for every step how much memory mattered, and drawn."""
    page.get_by_text("13 of 13 steps known").wait_for()
    chart_of(page, 13)
    page.wait_for_timeout(1000)


def explained(page: Page, live: Live, step: int) -> None:
    """Opens a step and explains it."""
    page.goto(f"{live.url}/#/episode/{SHOWN}/{step}")
    page.locator(".rows[data-ready]").wait_for()
    known(page)
    page.keyboard.press("e")
    page.locator(".explanation[data-ready]").wait_for()
    page.wait_for_timeout(1000)


def compared(page: Page, live: Live) -> None:
    """Compares some episodes, at the fork."""
    names = "/".join(f"memory-s11-seed-{seed}" for seed in (0, 1, 7, 8, 10))
    page.goto(f"{live.url}/#/compare/{names}?step={FORK}")
    page.get_by_alt_text(f"Frame of step {FORK} of {SHOWN}").wait_for()
    page.wait_for_timeout(500)


def overview(live: Live, browser: Browser) -> None:
    """The overview while an agent acts."""
    page = opened(browser, live, DESKTOP)
    page.goto(f"{live.url}/#/overview")
    page.get_by_text("since the services started").wait_for()
    with live.client() as client, live.gateway() as gateway:
        for seed in range(EPISODES, EPISODES + 12):
            act_out(client, gateway, f"memory-s11-seed-{seed}", seed)
    page.get_by_text("of the last").wait_for()
    page.screenshot(path=IMAGES / "inspector-overview.png", clip={"x": 0, "y": 0, "width": DESKTOP[0], "height": 330})


def without_ball(page: Page) -> None:
    """Takes the ball out of the memory."""
    page.get_by_role("button", name="Take away ball", exact=True).click()
    page.get_by_text("With the edits:").wait_for()
    page.mouse.move(1270, 60)
