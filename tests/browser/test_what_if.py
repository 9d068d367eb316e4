"""The panel that asks what other words in the memory would have changed."""

import re
from pathlib import Path

import pytest
import shelm
from browser_axe import violations
from browser_live import Live, inspector
from browser_pages import Watched, chart_of, open_episode
from google.protobuf.json_format import ParseDict
from playwright.sync_api import BrowserContext, Page, expect
from shelm.v1 import agent_pb2
from support.frames import Frame
from support.gateway import play

pytest_plugins = ("browser_fixtures",)

FORK = 11  # the step of `played_out` at which the agent turns to what it remembers
ACTIONS = ("left", "right", "forward")


def asked(live: Live, episode: str, *edits: dict[str, object]) -> agent_pb2.Outcome:
    """What the API answers to these edits."""
    wanted = {"episode_id": episode, "step": FORK, "alternatives": [{"edits": list(edits)}]}
    with live.gateway() as gateway:
        reply: agent_pb2.WhatIfResponse = gateway.call("WhatIf", ParseDict(wanted, agent_pb2.WhatIfRequest()))
    return reply.alternatives[0]


def shown(page: Page, which: int) -> dict[str, float]:
    """The probabilities on the page: 0 as it was, 1 with the edits."""
    found = page.evaluate(
        """(which) => {
          const rows = [...document.querySelectorAll('.whatif .bars li:not(.note)')];
          const part = (row, of, i) => row.querySelectorAll(of)[i].textContent.replace(' ✓', '');
          return rows.map((row) => [part(row, '.name', 0), part(row, '.figure', which)]);
        }""",
        which,
    )
    return {name: float(value) for name, value in found}


def expect_outcome(live: Live, page: Page, episode: str, *edits: dict[str, object]) -> None:
    """The page must show what the API answers to these edits."""
    outcome = asked(live, episode, *edits)
    expect(page.locator(".whatif .outcome")).to_contain_text(
        f"value {outcome.value:.2f}; the probabilities change by {outcome.change:.2f}."
    )
    probabilities = dict(zip(ACTIONS, outcome.distribution.probabilities.values, strict=False))
    for name, value in shown(page, 1).items():
        if name in probabilities:
            assert value == pytest.approx(probabilities[name], abs=0.006), name


def test_words_are_taken_away_replaced_and_swapped_and_the_answer_is_the_apis(
    live: Live, page: Page, played_out: str
) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"{live.url}/#/episode/{played_out}/{FORK}")
    page.wait_for_selector(".rows[data-ready]")
    page.keyboard.press("w")
    page.locator(".whatif .bars").wait_for()
    real = shown(page, 0)
    assert max(real, key=lambda name: real[name]) == "right"
    expect(page.locator(".whatif .outcome")).to_have_count(0)

    page.get_by_role("button", name="Take away ball", exact=True).click()
    expect_outcome(live, page, played_out, {"remove": {"word": "ball"}})
    assert {name: shown(page, 0)[name] for name in real} == pytest.approx(real)
    assert shown(page, 1)["right"] < 0.5
    expect(page.locator(".whatif .bars")).to_be_in_viewport(ratio=1)
    expect(page.locator(".whatif .changed")).to_contain_text("3 nothing · 4 nothing · 5 nothing")
    expect(page.locator(".copy code").first).to_have_text(f"shelm whatif {played_out} {FORK} --remove ball")
    assert violations(page) == []

    page.get_by_role("button", name="Undo: no ball at every step").click()
    expect(page.locator(".whatif .outcome")).to_have_count(0)
    page.get_by_role("button", name=re.compile("^ball .* 3: replace$")).click()
    page.get_by_label("Another word for ball").fill("key")
    page.keyboard.press("Enter")
    expect_outcome(live, page, played_out, {"replace": {"word": "ball", "replacement": "key"}})

    page.get_by_role("button", name="Undo: key instead of ball at every step").click()
    page.locator(".chip", has_text="key").first.drag_to(page.locator(".chip", has_text="ball").first)
    expect(page.get_by_label("Edits")).to_contain_text("key and ball swapped at every step")
    expect_outcome(live, page, played_out, {"swap": {"word": "key", "other": "ball"}})
    expect(page.locator(".copy code").last).to_contain_text('shelm.Swap("key", "ball")')


def test_one_word_of_one_step_can_be_edited_and_edits_of_later_steps_wait(live: Live, page: Page, played_out: str) -> None:
    page.goto(f"{live.url}/#/episode/{played_out}/{FORK}")
    page.wait_for_selector(".rows[data-ready]")
    page.get_by_role("button", name="What if ...").click()
    page.get_by_text("Step by step").click()
    page.get_by_role("button", name="Take away 4:ball").click()
    expect_outcome(live, page, played_out, {"remove": {"word": "ball", "step": 4}})
    page.locator("#goal").fill("3")  # step 4 was not in its memory
    page.locator("#goal").press("Enter")
    expect(page.locator(".whatif .said")).to_contain_text("Step 3 as it was")
    expect(page.locator(".whatif .outcome")).to_have_count(0)


def test_a_word_that_the_agent_does_not_know_is_refused_by_its_name(live: Live, watched: Watched, played_out: str) -> None:
    watched.expected = ("400",)
    page = watched.page
    open_episode(page, live.url, played_out)
    page.keyboard.press("w")
    page.locator(".chip-word").first.click()
    page.locator(".whatif .edit input").fill("zzz")
    page.get_by_role("button", name="Replace", exact=True).click()
    expect(page.locator(".whatif").get_by_role("alert")).to_contain_text("zzz")


def test_what_the_page_offers_to_copy_works_and_a_branch_tells_its_origin(live: Live, page: Page, played_out: str) -> None:
    page.goto(f"{live.url}/#/episode/{played_out}/{FORK}")
    page.wait_for_selector(".rows[data-ready]")
    page.keyboard.press("w")
    page.get_by_role("button", name="Take away ball", exact=True).click()
    page.locator(".whatif .outcome").wait_for()
    expect(page.locator(".copy code").last).to_have_text(
        f'client.branch_episode("{played_out}-branch", "{played_out}", {FORK}, [shelm.Remove("ball")])'
    )
    with live.client() as client:  # the same
        info = client.branch_episode(f"{played_out}-branch", played_out, FORK, [shelm.Remove("ball")])
    assert info.branch
    assert info.episode_id == f"{played_out}-branch"
    assert (info.branch.source, info.branch.step) == (played_out, FORK)
    assert info.branch.edits == (shelm.Remove("ball"),)
    open_episode(page, live.url, info.episode_id)
    page.get_by_role("link", name=f"{played_out}, step {FORK}").click()
    page.wait_for_url(f"**/#/episode/{played_out}/{FORK}")


def test_the_selected_step_shows_how_probable_each_action_was(live: Live, watched: Watched, played_out: str) -> None:
    page = watched.page
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"{live.url}/#/episode/{played_out}/{FORK}")
    for step in (FORK, FORK + 1):
        page.locator(f".distribution[data-step='{step}'] .bars").wait_for()
        with live.gateway() as gateway:
            reply = gateway.call("WhatIf", agent_pb2.WhatIfRequest(episode_id=played_out, step=step))
        values = [value for value in reply.actual.distribution.probabilities.values if value >= 0.01]
        figures = page.locator(".distribution .figure").all_inner_texts()
        assert [float(text) for text in figures] == pytest.approx(values, abs=0.006)
        expect(page.locator(".distribution")).to_contain_text(f"Entropy {reply.actual.distribution.entropy:.2f}.")
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")  # what is known is not asked for again
    expect(page.locator(".distribution")).to_have_attribute("data-step", str(FORK))
    assert len([url for url in watched.urls if "/whatif/" in url]) == 2
    expect(page.locator(".distribution .bars")).to_be_in_viewport(ratio=1)
    page.keyboard.press("w")
    expect(page.locator(".distribution")).to_be_hidden()
    page.keyboard.press("w")
    expect(page.locator(".distribution .bars")).to_be_visible()


def test_no_probabilities_are_asked_for_while_the_page_follows_or_without_a_frame(
    live: Live, watched: Watched, name: str, frames: tuple[Frame, ...]
) -> None:
    with live.gateway() as gateway:
        play(gateway, name, frames[:3])
        page = watched.page
        open_episode(page, live.url, name)
        expect(page.locator(".distribution")).to_have_text("Pause to see how probable each action was.")
        page.wait_for_timeout(1000)
        assert not [url for url in watched.urls if "/whatif/" in url]
        page.get_by_role("button", name="Pause").click()
        page.locator(".distribution .bars").wait_for()
    recorded = Path(live.deployment.settings["SHELM_RECORD"]).rglob("1.png")
    next(path for path in recorded if name in str(path)).unlink()
    page.keyboard.press("ArrowUp")
    expect(page.locator(".distribution")).to_contain_text("need the step's frame, which is not recorded")


def test_a_branch_is_made_by_a_button_and_says_where_it_comes_from(live: Live, watched: Watched, played_out: str) -> None:
    watched.expected = ("400",)
    page = watched.page
    page.goto(f"{live.url}/#/episode/{played_out}/{FORK}")
    page.wait_for_selector(".rows[data-ready]")
    page.keyboard.press("w")
    page.get_by_role("button", name="Take away ball", exact=True).click()
    page.get_by_role("button", name="Branch from here", exact=True).click()
    field, name = page.get_by_label("Name of the branch"), f"{played_out}-branch-{FORK}"
    expect(field).to_have_value(name)
    field.fill(played_out)
    page.get_by_role("button", name="Make it").click()
    expect(page.locator(".branched").get_by_role("alert")).to_contain_text("episode_id: expected another name")
    field.fill(name)
    page.keyboard.press("Enter")
    expect(page.locator(".branched")).to_contain_text(f"Made: {name}. A client goes on with it at step {FORK}.")
    assert violations(page) == []
    with live.client() as client:
        branch = client.get_episode(name).branch
        words = {token.text for step in client.memory(name) for token in step.tokens}
    assert branch
    assert (branch.source, branch.step, branch.edits) == (played_out, FORK, (shelm.Remove("ball"),))
    assert "ball" not in words
    page.get_by_role("button", name="Branch from here", exact=True).click()
    expect(field).to_have_value(f"{name}-2")  # what is taken is not proposed
    page.get_by_role("link", name=name).click()
    expect(page.locator(".origin")).to_have_text(f"branch of {played_out}, step {FORK}: no ball at every step")
    chart_of(page, FORK)
    assert violations(page) == []


def test_an_inspector_that_may_only_read_makes_no_branches(
    context: BrowserContext, live: Live, tmp_path: Path, played_out: str
) -> None:
    context.add_init_script(f"sessionStorage.setItem('shelm-token', '{live.token}')")
    with inspector(live.deployment.target, tmp_path, {"SHELM_INSPECTOR_BRANCHES": "false"}) as (_, url):
        page = context.new_page()
        page.goto(f"{url}/#/episode/{played_out}/{FORK}")
        page.wait_for_selector(".rows[data-ready]")
        page.keyboard.press("w")
        expect(page.get_by_role("button", name="Branch from here", exact=True)).to_be_disabled()
        expect(page.locator(".branching")).to_contain_text("This page may only read")
