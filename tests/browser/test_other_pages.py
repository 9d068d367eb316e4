"""The list, the comparison, and the licences."""

from browser_axe import violations
from browser_live import Live
from browser_pages import open_episode
from playwright.sync_api import Page, expect
from shelm.v1 import agent_pb2
from support.frames import Frame
from support.gateway import play

pytest_plugins = ("browser_fixtures",)


def end(live: Live, name: str, reward: float) -> None:
    """Ends an episode with the sum of its rewards."""
    with live.gateway() as gateway:
        gateway.call("EndEpisode", agent_pb2.EndEpisodeRequest(episode_id=name, total_reward=reward))


def test_the_list_grows_counts_and_ends_by_itself(live: Live, page: Page, name: str, frames: tuple[Frame, ...]) -> None:
    page.goto(f"{live.url}/#/")
    row = page.locator("tr", has=page.get_by_role("link", name=name))
    with live.gateway() as gateway:
        play(gateway, name, frames[:3])
        expect(row).to_contain_text("running")
        expect(row.locator(".steps")).to_have_text("3")
        words = gateway.memory(name)[-1].tokens[0].text
        expect(row.locator(".words")).to_contain_text(words)
        expect(row.get_by_label("value at 3 of the last steps")).to_be_visible()
        expect(row.locator(".thumb img")).to_have_js_property("naturalWidth", frames[0].shape[1])
        gateway.act(name, 3, frames[3])
        expect(row.locator(".steps")).to_have_text("4")
    end(live, name, 0.75)
    expect(row.locator(".badge")).to_have_text("solved")
    expect(row.locator(".reward")).to_have_text("0.750")


def test_the_list_is_filtered_by_name_agent_and_state_and_paged(
    live: Live, page: Page, name: str, frames: tuple[Frame, ...]
) -> None:
    with live.gateway() as gateway:
        for i in range(27):
            gateway.act(f"{name}-{i}", 0, frames[i])
        gateway.end(f"{name}-0")
    page.goto(f"{live.url}/#/")
    place, rows = page.locator(".place"), page.locator(".episodes tbody tr")
    page.get_by_label("Filter by name or agent").fill(name)
    expect(place).to_have_text("27 episodes, page 1 of 2")
    expect(rows).to_have_count(25)
    page.get_by_role("button", name="Next").click()
    expect(rows).to_have_count(2)
    page.get_by_label("Filter by state").select_option("ended")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text(f"{name}-0")
    page.get_by_label("Filter by state").select_option("all")
    page.get_by_label("Filter by name or agent").fill("no-such-agent")
    expect(rows).to_have_count(0)
    expect(page.locator("main .note")).to_have_text("No episode is like this: change the filters.")


def test_the_list_is_filtered_by_outcome_and_word_and_sorted_and_the_address_holds_it(
    live: Live, page: Page, name: str, frames: tuple[Frame, ...]
) -> None:
    held = {}
    with live.gateway() as gateway:
        for i, reward in enumerate((0.5, 0.0, -1.0)):
            play(gateway, f"{name}-{i}", frames[i * 20 : i * 20 + 3 + i])
            end(live, f"{name}-{i}", reward)
            held[i] = {token.text for step in gateway.memory(f"{name}-{i}") for token in step.tokens}
    page.goto(f"{live.url}/#/?name={name}&state=failed&sort=steps&up=1")
    links = page.locator(".episodes tbody th")
    expect(links).to_have_text([f"{name}-1", f"{name}-2"])  # above 0 is solved, 0 is not
    page.get_by_role("button", name="Steps").click()
    expect(links).to_have_text([f"{name}-2", f"{name}-1"])
    page.get_by_label("Filter by state").select_option("all")
    expect(links).to_have_text([f"{name}-2", f"{name}-1", f"{name}-0"])
    word = sorted(held[2])[0]
    page.get_by_label("Filter by word").fill(word)
    expect(links).to_have_text([f"{name}-{i}" for i in (2, 1, 0) if word in held[i]])
    page.reload()
    expect(links).to_have_text([f"{name}-{i}" for i in (2, 1, 0) if word in held[i]])
    page.get_by_label("Filter by word").fill("no-such-word")
    expect(links).to_have_count(0)
    expect(page.locator("main .note")).to_contain_text("3 episodes; 3 are read.")


def test_two_episodes_are_chosen_in_the_list_and_compared_or_counted(
    live: Live, page: Page, name: str, frames: tuple[Frame, ...]
) -> None:
    with live.gateway() as gateway:
        for i in range(2):
            play(gateway, f"{name}-{i}", frames[i : i + 5])
            end(live, f"{name}-{i}", i)
    page.goto(f"{live.url}/#/?name={name}&sort=name")
    page.get_by_label(f"Choose {name}-0").check()
    expect(page.get_by_role("button", name="Compare")).to_be_disabled()
    page.get_by_label(f"Choose {name}-1").check()
    page.get_by_role("button", name="Count their words").click()
    expect(page.locator("main .note").first).to_contain_text("2 episodes,")
    expect(page.locator("main .note").first).to_contain_text("1 solved (reward above 0.000), 1 failed")
    page.go_back()
    page.get_by_label(f"Choose {name}-0").check()
    page.get_by_label(f"Choose {name}-1").check()
    page.get_by_role("button", name="Compare").click()
    page.wait_for_selector(".rows[data-ready]")
    expect(page.locator(".screen img").first).to_have_js_property("naturalWidth", frames[0].shape[1])
    offered = page.locator("#episode-names option").evaluate_all("all => all.map((one) => one.value)")
    assert {f"{name}-0", f"{name}-1"} <= set(offered)


def test_up_to_eight_episodes_are_compared_in_lanes_aligned_by_step(
    live: Live, page: Page, name: str, frames: tuple[Frame, ...]
) -> None:
    names = [f"{name}-{i}" for i in range(9)]
    with live.gateway() as gateway:
        for i, one in enumerate(names):
            play(
                gateway,
                one,
                [*frames[:6], *frames[6 + 10 * (i % 3) : 12 + 10 * (i % 3)]][: 12 - (i == 2)],
                deterministic=True,
            )
        first, second, third = ({step.step: step for step in gateway.memory(one)} for one in names[:3])
    page.goto(f"{live.url}/#/?name={name}&sort=name")
    compare = page.get_by_role("button", name="Compare")
    for one in names:
        page.get_by_label(f"Choose {one}").check()
    expect(compare).to_be_disabled()
    for one in names[3:]:
        page.get_by_label(f"Choose {one}").uncheck()
    compare.click()
    page.wait_for_selector(".lanes[data-ready]")

    def same(one: agent_pb2.MemoryStep | None, other: agent_pb2.MemoryStep | None) -> bool:
        if not one or not other:
            return one is other
        return one.action == other.action and [t.text for t in one.tokens] == [t.text for t in other.tokens]

    differ = [i for i in range(12) if not (same(first[i], second.get(i)) and same(first[i], third.get(i)))]
    assert differ[0] >= 6
    expect(page.locator(".facts-line")).to_have_text(
        f"{len(differ)} of 12 steps differ from the first episode; the first is step {differ[0]}."
    )
    expect(page.locator(".place")).to_have_text(f"step {differ[0]} of 11, differs")
    page.wait_for_url(f"**?step={differ[0]}")
    lanes = page.locator(".lane-row")
    expect(lanes).to_have_count(3)
    expect(lanes.locator(".frame").first).to_have_attribute("alt", f"Frame of step {differ[0]} of {names[0]}")
    page.get_by_role("slider", name="Step").fill("11")
    expect(lanes.nth(2).locator(".said")).to_have_text("no such step")
    expect(lanes.nth(2).locator(".frame")).to_be_hidden()
    word = first[11].tokens[0]
    expect(lanes.nth(0).locator(".said")).to_contain_text(f"{word.text} {word.similarity:.2f}")
    box = lanes.nth(1).locator(".strip").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 2.5 / 12, box["y"] + 5)
    expect(page.locator(".place")).to_contain_text("step 2 of 11")
    expect(lanes.nth(1).locator(".frame")).to_have_attribute("alt", f"Frame of step 2 of {names[1]}")
    page.mouse.click(box["x"] + box["width"] * 2.5 / 12, box["y"] + 5)
    page.wait_for_url("**?step=2")
    page.reload()
    page.wait_for_selector(".lanes[data-ready]")
    expect(page.locator(".place")).to_contain_text("step 2 of 11")
    page.keyboard.press("n")
    expect(page.locator(".place")).to_have_text(f"step {differ[0]} of 11, differs")
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []


def test_a_phone_shows_steps_reward_and_outcome(live: Live, page: Page, name: str, frames: tuple[Frame, ...]) -> None:
    with live.gateway() as gateway:
        play(gateway, name, frames[:3])
    end(live, name, 0.5)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{live.url}/#/?name={name}")
    row = page.locator("tr", has=page.get_by_role("link", name=name))
    for part, text in (("steps", "3"), ("reward", "0.500"), ("outcome", "solved")):
        cell = row.locator(f".{part}")
        expect(cell).to_have_text(text)
        box = cell.bounding_box()
        assert box
        assert 0 <= box["x"] < box["x"] + box["width"] <= 390
    assert page.evaluate("() => { const one = document.querySelector('.wide'); return one.scrollWidth <= one.clientWidth; }")


def test_a_running_episode_whose_client_is_silent_is_said_to_be(
    live: Live, page: Page, name: str, frames: tuple[Frame, ...]
) -> None:
    with live.gateway() as gateway:
        play(gateway, name, frames[:3])
    page.clock.install()
    page.goto(f"{live.url}/#/?name={name}")
    badge = page.locator("tr", has=page.get_by_role("link", name=name)).locator(".badge")
    page.clock.run_for(1000)
    expect(badge).to_have_text("running")
    page.clock.run_for(181_000)
    expect(badge).to_contain_text("silent 3 min")
    expect(badge).to_have_attribute("title", "running, last heard of 3 min ago")
    expect(page.locator("td.heard")).to_have_text("3 min ago")
    page.get_by_label("Filter by state").select_option("silent")
    expect(badge).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    expect(badge.get_by_text("3 min")).to_be_visible()
    assert page.evaluate("() => { const one = document.querySelector('.wide'); return one.scrollWidth <= one.clientWidth; }")
    page.set_viewport_size({"width": 1200, "height": 800})
    page.get_by_role("button", name="Last heard of").click()
    page.wait_for_url("**&sort=heard")
    open_episode(page, live.url, name)
    page.clock.run_for(1000)
    expect(page.locator(".facts-line")).to_contain_text("last heard of 3 min ago")


def test_two_episodes_are_compared_step_by_step(live: Live, page: Page, name: str, frames: tuple[Frame, ...]) -> None:
    pair = [f"{name}-a", f"{name}-b"]
    with live.gateway() as gateway:
        play(gateway, pair[0], frames[:10], deterministic=True)
        play(gateway, pair[1], [*frames[:6], *frames[30:36]], deterministic=True)
        a, b = (gateway.memory(one) for one in pair)
    same = [
        one.action == two.action and [t.text for t in one.tokens] == [t.text for t in two.tokens]
        for one, two in zip(a, b, strict=False)
    ]
    page.goto(f"{live.url}/#/compare")
    page.get_by_label("First episode").fill(pair[0])
    page.get_by_label("Second episode").fill(pair[1])
    page.get_by_role("button", name="Compare", exact=True).click()
    page.wait_for_selector(".rows[data-ready]")
    differ = same.count(False) + 2  # two steps that only the second has
    first = same.index(False) if False in same else 10
    assert first >= 6
    expect(page.locator(".facts-line")).to_have_text(f"{differ} of 12 steps differ; the first is step {first}.")
    expect(page.locator(".rows [aria-selected=true] .step").first).to_have_text(str(first))
    second = next(i for i in range(first + 1, 12) if i >= 10 or not same[i])
    page.get_by_role("button", name="Next difference").click()
    expect(page.locator(".rows [aria-selected=true] .step").first).to_have_text(str(second))


def test_licences_are_shown_in_full(live: Live, page: Page) -> None:
    page.goto(f"{live.url}/#/licences")
    expect(page.get_by_role("heading", name="echarts")).to_be_visible()
    page.get_by_text("LICENSE.txt", exact=True).click()
    expect(page.locator("pre").first).to_contain_text("Apache License")
