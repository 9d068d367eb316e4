"""The page Find: the same episodes as the API tells, wherever they are; success against failure; what is wrong is named."""

from dataclasses import dataclass
from urllib.parse import quote

import pytest
from browser_axe import violations
from browser_live import Live
from browser_pages import Watched, selected
from playwright.sync_api import Page, expect
from shelm.v1 import agent_pb2
from support.frames import Frame
from support.gateway import Gateway, play
from support.waiting import wait_for

from services.store.keys import episode_key, history_key

pytest_plugins = ("browser_fixtures",)
pb = agent_pb2
BEFORE = 2  # the step before which a word must have been seen
PAGE = 25  # episodes
FITS = "() => [document.documentElement, document.querySelector('.wide')].every((one) => one.scrollWidth <= one.clientWidth)"


@dataclass(frozen=True)
class Made:
    """What was played. word: seen in the first step of episode 0. seen: the first step of each that saw it, if one did."""

    name: str
    word: str
    seen: list[int | None]

    def episode(self, number: int) -> str:
        return f"{self.name}-{number}"


@pytest.fixture
def made(live: Live, name: str, frames: tuple[Frame, ...]) -> Made:
    """Six episodes: two failed and saw the word early, of which 0 is in the archive alone; the others are not meant."""
    parts = ((0, 3, 0.0), (3, 6, -1.0), (0, 3, 1.0), (2, 6, 0.0), (6, 9, 0.0), (0, 3, None))  # frames, reward
    with live.gateway() as gateway:
        for i, (first, last, reward) in enumerate(parts):
            play(gateway, f"{name}-{i}", frames[first:last])
            if reward is not None:
                gateway.end(f"{name}-{i}", total_reward=reward)
        seen = [[{token.text for token in step.tokens} for step in gateway.memory(f"{name}-{i}")] for i in range(len(parts))]
        word = min(seen[0][0])
        wait_for("it is archived", lambda: archived(gateway, f"{name}-0"), seconds=30)
        with live.deployment.redis() as client:  # forgets it, as it does after SHELM_ENDED_TTL
            full = next(key for key in client.keys(f"*{name}-0*:episode")).decode()
            stored = full.partition("{")[2].partition("}")[0]
            assert client.delete(episode_key(stored), history_key(stored)) == 2
        wait_for("it is found there", lambda: found(gateway, f"{name}-0"), seconds=30)
    return Made(name, word, [next((i for i, step in enumerate(one) if word in step), None) for one in seen])


def archived(gateway: Gateway, name: str) -> bool:
    request = pb.ListEpisodesRequest(archived=True, page_size=1000)
    return name in [one.episode_id for one in gateway.call("ListEpisodes", request).episodes]


def found(gateway: Gateway, prefix: str) -> bool:
    request = pb.SearchEpisodesRequest(filter=pb.EpisodeFilter(name_prefix=prefix))
    return bool(gateway.call("SearchEpisodes", request).episodes)


def test_it_finds_what_saw_a_word_before_a_step_and_failed_also_in_the_archive(live: Live, page: Page, made: Made) -> None:
    early = [i for i in (0, 1) if (step := made.seen[i]) is not None and step < BEFORE]
    assert early == [0, 1]
    assert [step is not None and step < BEFORE for step in made.seen[2:5]] == [True, False, False]
    assert made.seen[3] == BEFORE  # the first step that does not count any more
    page.goto(f"{live.url}/#/archive")
    page.get_by_role("link", name="Find by words").click()
    page.get_by_role("searchbox", name="Name begins with").fill(made.name)
    page.get_by_role("combobox", name="State").select_option("")
    page.get_by_role("combobox", name="Outcome").select_option("failed")
    page.get_by_role("spinbutton", name="Saw, word 1, before step").fill(str(BEFORE))
    word = page.get_by_role("combobox", name="Saw, word 1", exact=True)
    word.press_sequentially(made.word)
    expect(page.locator(f"datalist option[value='{made.word}']")).to_have_count(1)
    word.press("Enter")
    rows = page.get_by_role("region", name="Found episodes").locator("tbody tr")
    names = rows.locator("th")
    expect(names).to_have_text([made.episode(1), made.episode(0)])
    expect(rows.first).to_have_class("failed")
    page.wait_for_url(f"**/#/find?saw={made.word}%40-{BEFORE - 1}&outcome=failed&name={quote(made.name)}&answer=episodes")
    page.reload()
    expect(names).to_have_text([made.episode(1), made.episode(0)])
    assert violations(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(FITS)
    assert violations(page) == []
    for number in (1, 0):  # in Redis, and in the archive alone
        page.get_by_role("link", name=made.episode(number)).click()
        page.wait_for_url(f"**/#/episode/{quote(made.episode(number))}/{made.seen[number]}")
        page.wait_for_selector(".rows[data-ready]")
        assert selected(page) == made.seen[number]
        page.go_back()
    page.get_by_role("spinbutton", name="Saw, word 1, before step").fill("")
    page.get_by_role("combobox", name="Did not see, word 1", exact=True).fill(made.word)
    page.get_by_role("button", name="Search").click()
    expect(page.locator("main .note")).to_contain_text("No episode is like this. Take away a word")


def test_success_against_failure_shows_the_shares_that_the_api_tells(live: Live, page: Page, made: Made) -> None:
    with live.gateway() as gateway:
        request = pb.CompareOutcomesRequest(filter=pb.EpisodeFilter(name_prefix=made.name))
        told = gateway.call("CompareOutcomes", request)
    assert (told.succeeded, told.failed) == (1, 4)
    page.goto(f"{live.url}/#/find?name={made.name}&outcome=failed")
    page.get_by_role("button", name="Success against failure").click()
    expect(page.locator("main .note").first).to_have_text("Both outcomes are counted, whatever is chosen above.")
    expect(page.get_by_role("status").last).to_contain_text("1 solved, 4 failed.")
    page.wait_for_url("**&answer=outcomes")
    for label, wanted in (("Words", told.words), ("Transitions", told.transitions)):
        rows = page.get_by_role("region", name=f"{label} by outcome").locator("tbody tr")
        expect(rows).to_have_count(len(wanted))
        for i, share in enumerate((wanted[0].of_succeeded, wanted[0].of_failed)):
            low, high = round(100 * share.low), round(100 * share.high)
            expect(rows.first.locator("td").nth(i)).to_have_text(f"{share.count} of {share.total}, {low} to {high} %")
    assert violations(page) == []
    page.get_by_role("link", name=made.word, exact=True).click()
    episodes = page.get_by_role("region", name="Found episodes").locator("tbody th")
    meant = {made.episode(i) for i in (0, 1, 3, 4) if made.seen[i] is not None}
    expect(episodes).to_have_count(len(meant))
    assert set(episodes.all_inner_texts()) == meant  # in an order that depends on how far the archive has come


def test_more_loads_the_next_page(live: Live, page: Page, name: str, frames: tuple[Frame, ...]) -> None:
    with live.gateway() as gateway:
        for i in range(PAGE + 2):
            gateway.act(f"{name}-{i}", 0, frames[i])
    page.goto(f"{live.url}/#/find?name={name}&state=running")
    names = page.get_by_role("region", name="Found episodes").locator("tbody th")
    newest_first = [f"{name}-{i}" for i in reversed(range(PAGE + 2))]
    expect(names).to_have_text(newest_first[:PAGE])
    page.get_by_role("button", name="More").click()
    expect(names).to_have_text(newest_first)
    expect(page.get_by_role("button", name="More")).to_be_hidden()


def test_what_is_wrong_is_named_by_the_page_or_the_server(live: Live, watched: Watched) -> None:
    page = watched.page
    alert = page.get_by_role("alert")
    page.goto(f"{live.url}/#/")
    page.get_by_role("link", name="Find by words, also archived").click()
    expect(page.locator("main .note")).to_contain_text("which saw a word?")
    search = page.get_by_role("button", name="Search")
    before = page.get_by_role("spinbutton", name="Saw, word 1, before step")
    before.fill("3")
    search.click()
    expect(alert).to_have_text("Saw, word 1: Name the word that counts before this step.")
    page.get_by_role("combobox", name="Saw, word 1", exact=True).fill("ball")
    before.fill("0")
    search.click()
    expect(alert).to_contain_text("Saw, word 1, before step: ")
    expect(before).to_be_focused()
    before.fill("")
    page.get_by_role("spinbutton", name="Reward at least").fill("2")
    page.get_by_role("spinbutton", name="Reward at most").fill("1")
    search.click()
    expect(alert).to_have_text("Reward at most: Nothing is 2 or more and 1 or less.")
    watched.expected = ("status of 400",)
    page.goto(f"{live.url}/#/find?{'&'.join(['saw=ball'] * 17)}")
    expect(alert).to_contain_text("saw: expected at most 16")
    assert violations(page) == []
