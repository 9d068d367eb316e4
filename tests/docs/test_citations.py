"""What code, protos and pages cite is in the repository: pages, anchors on them, and no documents from elsewhere.

A citation is the path of a page and, where it has one, an anchor: `docs/paper.md#q13`.
"""

import re
import subprocess
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import markdown  # type: ignore[import-untyped]
import pytest
from support.process import REPOSITORY

CITATION = re.compile(r"\bdocs/([\w./-]+\.md)(?:#([\w-]+))?")
# Documents that were never part of the repository, quirks without their page, decisions by half their name.
ELSEWHERE = re.compile(
    r"paper-facts|fact[ _]sheet|(?:house|style)\.md|house rules?\b|architecture section"
    r"|(?-i:\bQ\d{1,2}b?\b)|docs/decisions/\d{4}\b(?!-)",
    re.IGNORECASE,
)
EXTENSIONS = ["attr_list", "tables", "toc", "pymdownx.superfences"]  # those of mkdocs.yml that say what becomes an anchor
NOT_READ = re.compile(r"^docs/results/(raw|plots)/|/vendor/|^requirements|package-lock\.json$")
NUMBERS_QUIRKS = "docs/paper.md"
OWN_NAME = "tests/docs/test_citations.py"


class Anchors(HTMLParser):
    """The ids on a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(markdown.markdown(page.read_text(), extensions=EXTENSIONS))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {value for name, value in attrs if name == "id" and value}


@cache
def anchors(page: Path) -> set[str]:
    """Of a page that is there."""
    return Anchors(page).found


@cache
def files() -> dict[str, str]:
    """The texts of the repository by path, without the raw results and what others wrote."""
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    texts = {}
    for name in listed.splitlines():
        path = REPOSITORY / name
        if not NOT_READ.search(name) and name != OWN_NAME and path.is_file():
            content = path.read_bytes()
            if b"\0" not in content:
                texts[name] = content.decode()
    return texts


def lines() -> list[tuple[str, str]]:
    """Every line with its place."""
    return [(f"{name}:{number}", line) for name, text in files().items() for number, line in enumerate(text.splitlines(), 1)]


def unresolved(line: str) -> list[str]:
    """The citations in a line that lead nowhere."""
    wrong = []
    for found in CITATION.finditer(line):
        page = REPOSITORY / "docs" / found[1]
        if not page.is_file() or (found[2] and found[2] not in anchors(page)):
            wrong.append(found[0])
    return wrong


def _elsewhere(place: str, line: str) -> bool:
    return bool(ELSEWHERE.search(line)) and not place.startswith(NUMBERS_QUIRKS)


def test_every_citation_leads_to_a_page_and_an_anchor() -> None:
    wrong = [(place, citation) for place, line in lines() for citation in unresolved(line)]
    assert not wrong, "\n".join(f"{place}: {citation}" for place, citation in wrong)


def test_nothing_cites_a_document_that_is_not_in_the_repository() -> None:
    wrong = [f"{place}: {line.strip()}" for place, line in lines() if _elsewhere(place, line)]
    assert not wrong, "\n".join(wrong)


def test_there_are_citations_of_sections_and_of_quirks() -> None:
    cited = {found[0] for _, line in lines() for found in CITATION.finditer(line)}
    assert {"docs/paper.md#baselines", "docs/paper.md#q4"} <= cited


def test_every_quirk_has_one_anchor() -> None:
    text = (REPOSITORY / NUMBERS_QUIRKS).read_text()
    numbers = [f"q{number}" for number in range(1, 26)] + ["q3b"]
    assert sorted(re.findall(r'<a id="(q\d+b?)">', text)) == sorted(numbers)
    assert set(numbers) <= anchors(REPOSITORY / NUMBERS_QUIRKS)


@pytest.mark.parametrize("line", ["docs/nowhere.md", "(docs/paper.md#q99)", "`docs/decisions/0099-nothing.md`"])
def test_a_citation_that_leads_nowhere_is_found(line: str) -> None:
    assert unresolved(line)


@pytest.mark.parametrize(
    "line", ["(docs/paper.md#q13)", "docs/paper.md#vocabulary, where", "see docs/troubleshooting.md#not-ready."]
)
def test_a_citation_that_leads_somewhere_is_not(line: str) -> None:
    assert not unresolved(line)


@pytest.mark.parametrize("line", ["(quirk Q13)", "logits (Q22; the", "a fact sheet", "docs/decisions/0007)"])
def test_a_document_from_elsewhere_is_found(line: str) -> None:
    assert ELSEWHERE.search(line)
