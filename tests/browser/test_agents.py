"""The agents' page: what an agent is, its card, and its words."""

import pytest
from browser_axe import violations
from browser_live import Live
from playwright.sync_api import Page, expect
from support.process import REPOSITORY

pytest_plugins = ("browser_fixtures",)
CARD = """# agent
First `code`, **strong**, [outside](https://example.invalid/x), [inside](../x.md).

| a | b |
| --- | --- |
| 1 | <b>2</b> |

- one
- two
  lines

```text
# no heading
```

Known confusions: a for b
and c.
"""
DRAW = """async (text) => {
  const card = await import('/static/card.js');
  const all = document.createElement('div'), some = document.createElement('div');
  all.append(...card.drawCard(text));
  some.append(...card.confusions(text));
  return [all.innerHTML, some.textContent];
}"""


def test_an_agent_shows_its_facts_confusions_words_and_card(live: Live, page: Page) -> None:
    with live.gateway() as gateway:
        agent = gateway.agent()
    page.goto(f"{live.url}/#/agents")
    page.get_by_role("link", name=agent.name).wait_for()
    assert violations(page) == []
    page.get_by_role("link", name=agent.name).click()
    page.wait_for_url(f"**/#/agents/{agent.digest}")
    facts = page.locator("dl.facts")
    for text in (
        agent.digest,
        "56 pixels",
        "left, right, forward",
        f"{agent.vocabulary_size} words",
        "32 words",
        "576 numbers",
    ):
        expect(facts).to_contain_text(text)
    expect(page.get_by_role("region", name="Confusions")).to_contain_text("a more distant one is retrieved")
    expect(page.get_by_role("article")).to_contain_text("Seeds 2,000,000 onward")
    card = (REPOSITORY / "models/minigrid-memory/README.md").read_text()
    expect(page.get_by_role("article").get_by_role("table")).to_have_count(card.count("\n| --- |"))
    words = page.get_by_label("Words", exact=True).get_by_role("listitem")
    expect(words).to_have_count(200)
    page.get_by_label("Search the vocabulary").fill("corrid")
    expect(words).to_have_text(["corridor"])
    page.wait_for_url("**?word=corrid")
    page.reload()
    expect(words).to_have_text(["corridor"])
    assert violations(page) == []
    page.get_by_role("link", name="Its episodes").click()
    expect(page.get_by_label("Filter by name or agent")).to_have_value(agent.name)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(live: Live, page: Page, scheme: str) -> None:
    with live.gateway() as gateway:
        agent = gateway.agent()
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": 390, "height": 844})
    for address in ("agents", f"agents/{agent.digest}"):
        page.goto(f"{live.url}/#/{address}")
        page.get_by_role("heading", level=1).wait_for()
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        assert violations(page) == []


def test_a_card_is_drawn_from_markdown_and_its_text_stays_text(live: Live, page: Page) -> None:
    page.goto(f"{live.url}/#/licences")
    drawn, confused = page.evaluate(DRAW, CARD)
    assert "<h2>agent</h2>" in drawn
    assert "First <code>code</code>, <strong>strong</strong>, " in drawn
    assert '<a href="https://example.invalid/x" rel="noreferrer">outside</a>, <span>inside</span>.' in drawn
    assert "<td>&lt;b&gt;2&lt;/b&gt;</td>" in drawn
    assert "<ul><li>one</li><li>two" in drawn
    assert '<pre tabindex="0"># no heading</pre>' in drawn
    assert confused == "Known confusions: a for b and c."
    for path in REPOSITORY.glob("models/*/README.md"):
        drawn, confused = page.evaluate(DRAW, path.read_text())
        assert confused, path
        assert not [one for one in ("](", "```", "**", "| ---") if one in drawn], path
