"""The menu of files on an episode's page: each file is read by what reads it elsewhere."""

import io
import struct
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

import pytest
from browser_axe import violations
from browser_live import Live
from browser_pages import Watched, chart_of, open_episode
from PIL import Image
from playwright.sync_api import Page, expect
from shelm.export import read, write_csv, write_jsonl
from support.frames import Frame
from support.gateway import play

pytest_plugins = ("browser_fixtures",)
STEPS = 13  # of `played_out`


def saved(page: Page, button: str) -> Path:
    """The file that an item of the menu saves."""
    page.locator(".menu summary").click()
    with page.expect_download() as coming:
        page.get_by_role("button", name=button, exact=True).click()
    return Path(coming.value.path())


def exported(live: Live, episode: str, write: Callable[[Any, TextIO], None]) -> str:
    """What `shelm export` writes."""
    text = io.StringIO()
    with live.client() as client:
        write([read(client, episode)], text)
    return text.getvalue()


def test_rows_are_those_of_shelm_export_also_of_an_episode_that_is_too_long_for_a_film(
    live: Live, watched: Watched, long_episode: str
) -> None:
    watched.expected = ("400",)
    page = watched.page
    open_episode(page, live.url, long_episode)
    assert saved(page, "JSON lines").read_text() == exported(live, long_episode, write_jsonl)
    assert saved(page, "CSV").read_text() == exported(live, long_episode, write_csv)
    page.locator(".menu summary").click()
    page.get_by_role("button", name="GIF", exact=True).click()
    expect(page.locator("#status")).to_contain_text("format: expected an episode of at most 1,000 steps for gif, got 2,000")


def test_films_have_a_picture_for_each_step(live: Live, page: Page, played_out: str) -> None:
    av = pytest.importorskip("av")
    open_episode(page, live.url, played_out)
    page.locator(".menu summary").click()
    assert violations(page) == []
    page.keyboard.press("Escape")
    with av.open(str(saved(page, "MP4"))) as film:
        (stream,) = film.streams.video
        assert (stream.codec_context.name, stream.average_rate) == ("h264", 4)
        pictures = [one.to_ndarray(format="rgb24") for one in film.decode(stream)]
    assert len(pictures) == STEPS
    assert {one.shape for one in pictures} == {(402, 336, 3)}
    assert (pictures[0] != pictures[-1]).any()
    expect(page.locator("#status")).to_have_text("MP4 is saved.")
    with Image.open(saved(page, "GIF")) as film:
        assert (film.format, film.size, film.n_frames) == ("GIF", (336, 402), STEPS)  # type: ignore[attr-defined]


@pytest.mark.skipif(find_spec("rerun") is None, reason="rerun-sdk (740 MB with what it needs) is not installed")
def test_a_recording_for_rerun_can_be_read(live: Live, page: Page, played_out: str) -> None:
    open_episode(page, live.url, played_out)
    file = saved(page, "Rerun")
    command = [sys.executable, "-m", "rerun", "rrd", "print", "-v", str(file)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for entity in ("/frame", "/action", "/value", "/reward", "/words/ball"):
        assert entity in printed


def test_a_film_without_frames_says_how_to_record(
    live: Live, watched: Watched, name: str, frames: tuple[Frame, ...]
) -> None:
    watched.expected = ("404",)
    with live.gateway() as gateway:
        gateway.create(name)
        gateway.end(name)
    page = watched.page
    open_episode(page, live.url, name)
    page.locator(".menu summary").click()
    page.get_by_role("button", name="GIF", exact=True).click()
    expect(page.locator("#status")).to_contain_text("has no recorded frame")
    expect(page.locator("#status")).to_contain_text("SHELM_RECORD")
    expect(page.get_by_role("button", name="GIF", exact=True)).to_be_enabled()


def test_the_picture_is_a_png_of_the_chart(live: Live, page: Page, name: str, frames: tuple[Frame, ...]) -> None:
    with live.gateway() as gateway:
        play(gateway, name, frames[:15])
    open_episode(page, live.url, name)
    chart = chart_of(page, 15)
    picture = saved(page, "PNG").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", picture[16:24]) == (2 * chart["width"], 2 * chart["height"])
