"""The site of the documentation: it builds without a warning, loads nothing from other hosts, and is complete."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from support.process import REPOSITORY

# What a browser fetches by itself; a link that a reader may follow is not among them.
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "embed": "src", "object": "data", "link": "href"}
STATED = ("canonical", "prev", "next")  # links that nothing is loaded from
ELSEWHERE = re.compile(r"^(?:[a-z]+:)?//", re.IGNORECASE)
RUNBOOK = re.compile(r"docs/([\w/-]+)\.md#([\w-]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return folder


class Page(HTMLParser):
    """What a page loads, and the anchors that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.styles: list[str] = []
        self._style = False
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors.add(values.get("id", ""))
        self._style = tag == "style"
        self.styles.append(values.get("style", ""))
        if tag in LOADED and values.get("rel") not in STATED:
            self.loaded += [values.get(LOADED[tag], ""), *values.get("srcset", "").split(",")]

    def handle_data(self, data: str) -> None:
        if self._style:
            self.styles.append(data)


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    for path in pages:
        page = Page(path)
        assert any(name.endswith(".css") for name in page.loaded)
        assert not [name for name in page.loaded if ELSEWHERE.match(name.strip())], path
        assert not [text for text in page.styles if _foreign(text)], path


def test_no_style_sheet_or_picture_loads_anything_from_another_host(site: Path) -> None:
    sheets = [*site.rglob("*.css"), *site.rglob("*.svg")]
    assert sheets
    assert not [path for path in sheets if _foreign(path.read_text())]


def test_nothing_is_on_a_page_for_which_the_theme_would_load_a_script_from_another_host(site: Path) -> None:
    # The theme's own script fetches mermaid for diagrams and asks a repository's host for its stars; nothing else.
    scripts = "".join(path.read_text() for path in site.rglob("*.js"))
    fetched = set(re.findall(r"https://(?:unpkg\.com|cdn[\w.-]*|api\.[\w.-]+)/[\w@.-]*", scripts))
    assert fetched <= {"https://unpkg.com/mermaid@11", "https://unpkg.com/resize-observer-polyfill", *_STARS}
    for path in site.rglob("*.html"):
        text = path.read_text()
        assert 'class="mermaid"' not in text
        assert 'data-md-component="source"' not in text, "no repo_url"


_STARS = ("https://api.github.com/repos", "https://api.github.com/users")


def _foreign(style: str) -> list[str]:
    targets = re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)|xlink:href=\"([^\"]+)", style)
    return [target for found in targets for target in found if ELSEWHERE.match(target)]


def test_the_picture_of_the_data_path_can_be_read_aloud_and_in_the_dark() -> None:
    picture = (REPOSITORY / "docs/images/data-path.svg").read_text()
    assert 'role="img"' in picture
    assert re.search(r"<title[^>]*>\w", picture)
    assert re.search(r"<desc[^>]*>\w", picture)
    assert "prefers-color-scheme: dark" in picture


def test_every_runbook_that_an_alert_names_is_on_the_site(site: Path) -> None:
    alerts = list((REPOSITORY / "deploy/observability").glob("*.yaml"))
    rules = [
        rule for path in alerts for group in yaml.safe_load(path.read_text()).get("groups", []) for rule in group["rules"]
    ]
    named = [RUNBOOK.fullmatch(rule["annotations"]["runbook"]) for rule in rules]
    assert named
    for place in named:
        assert place
        assert place[2] in Page(site / place[1] / "index.html").anchors, place[0]


def test_every_reason_of_an_error_is_in_troubleshooting() -> None:
    errors = (REPOSITORY / "docs/protocol.md").read_text().split("\n## Errors\n")[1].split("\n## ")[0]
    reasons = re.findall(
        r"`([A-Z]+(?:_[A-Z]+)*)`", "".join(row.split("|")[2] for row in errors.splitlines() if row.startswith("|"))
    )
    assert "STEP_GAP" in reasons
    symptoms = (REPOSITORY / "docs/troubleshooting.md").read_text()
    assert not [reason for reason in reasons if f"`{reason}`" not in symptoms]
