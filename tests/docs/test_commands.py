"""Every command block of the guides and the README is followed, page by page, by somebody with a fresh clone.

A block that cannot be run here says why (support.fenced); the test names one that neither runs nor says so.
"""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from support.fenced import CANNOT_BE_HERE, Block, blocks_of
from support.newcomer import Newcomer
from support.process import REPOSITORY
from support.shown import missing

GUIDES = sorted((REPOSITORY / "docs").glob("*.md"))
README = REPOSITORY / "README.md"
PAGES = [README, *GUIDES]
OWN_ENVIRONMENT = REPOSITORY / "docs/own-environment.md"
QUICKSTART = REPOSITORY / "docs/quickstart.md"
# What their commands do is covered in part by tests/unit/training.
LONG = [REPOSITORY / "docs" / name for name in ("any-policy.md", "own-agent.md")]
BLOCK_SECONDS = 240.0
DEMO = "make demo"


def follow(newcomer: Newcomer, page: Path) -> dict[str, str]:
    """Runs the page's blocks in order; returns what each printed, by its code."""
    return {block.code: newcomer.follow(block, seconds=BLOCK_SECONDS) for block in to_run(page)}


def to_run(page: Path) -> list[Block]:
    """The blocks of a page that must work here; what the README has in common with a guide is run with the guide alone."""
    blocks = [block for block in blocks_of(page) if block.is_command and not block.reason]
    elsewhere = [_commands(block) for guide in GUIDES for block in blocks_of(guide)] if page == README else []
    return [block for block in blocks if _commands(block) not in elsewhere]


def not_printed(page: Path, printed: dict[str, str]) -> list[str]:
    """The lines that the page shows after a block, and that the block did not print."""
    pairs = [(before, after) for before, after in pairwise(blocks_of(page)) if before.code in printed and after.is_output]
    return [f"{after}: {line}" for before, after in pairs for line in missing(after.code, printed[before.code])]


def _commands(block: Block) -> list[str]:
    return [line.partition(" #")[0].strip() for line in block.code.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_block_that_is_not_run_says_why_and_the_reason_counts(page: Path) -> None:
    wrong = [f"{block}: {block.reason}" for block in blocks_of(page) if block.reason and not block.may_stay]
    assert not wrong, f"reasons begin with one of {list(CANNOT_BE_HERE)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_has_commands_in_a_block_that_is_not_marked_as_commands(page: Path) -> None:
    assert not [str(block) for block in blocks_of(page) if block.hides_a_command]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.long] * (page in LONG)) for page in GUIDES if page != OWN_ENVIRONMENT],
    ids=lambda page: page.name,
)
def test_every_command_of_the_page_works_in_a_fresh_clone(page: Path, tmp_path: Path) -> None:
    pages = [page, README] if page == QUICKSTART else [page]  # the README begins as the quick start does
    if to_run(page):
        printed: dict[str, str] = {}
        with Newcomer(tmp_path) as newcomer:
            for one in pages:
                printed |= follow(newcomer, one)
            for output in (output for code, output in printed.items() if code.strip() == DEMO):
                (explained,) = newcomer.follow_output(output, seconds=BLOCK_SECONDS)
                assert "without the word" in explained, "the page serves, so what the demo has kept is there"
        wrong = [line for one in pages for line in not_printed(one, printed)]
        assert not [*newcomer.missing, *wrong], "a page shows what was not printed"
        examples = [block for one in pages for block in to_run(one) if block.language == "python"]
        assert all(printed[block.code] for block in examples), "an example shows something"


@pytest.mark.timeout(900)
def test_a_newcomer_trains_serves_and_plays_an_environment_of_their_own(tmp_path: Path) -> None:
    with Newcomer(tmp_path) as newcomer:
        printed = follow(newcomer, OWN_ENVIRONMENT)
    assert not_printed(OWN_ENVIRONMENT, printed) == []
    played = next(output for code, output in printed.items() if "shelm play" in code)
    summary = json.loads(played.splitlines()[-1])
    assert summary["episodes"] == 20
    assert summary["mean_return"] > 0.9
    evaluated = next(output for code, output in printed.items() if "--forget" in code and "training.evaluate" in code)
    with_memory, without = (float(value) for value in re.findall(r"'mean_return': ([0-9.]+)", evaluated))
    assert with_memory > 0.9
    assert without < 0.8, "the environment needs a memory"


PRINTED = """starting ...
redis is ready after 0.4 s
episode 1/10  episode-b5edd23229e24c8a96c762ecc4c76936
   0  key (0.66)  -> left
   1  key (0.68)  -> left
   2  ball (0.69)  -> forward
ready at 127.0.0.1:45444; logs are in /somewhere/clone/.run
"""


@pytest.mark.parametrize(
    "shown",
    [
        "redis is ready after 12.3 s",
        "   0  key (0.67)  -> left\n   1  key (0.68)  -> left",
        "0 key (0.66) -> left\n...\nready at 127.0.0.1:50051; logs are in /home/you/shelm/.run",
        "episode 1/10 episode-0123456789abcdef0123456789abcdef\n...\n2 ball ... forward",
    ],
)
def test_an_output_that_was_printed_is_found(shown: str) -> None:
    assert missing(shown, PRINTED) == []


@pytest.mark.parametrize(
    "shown",
    [
        "0 key (0.76) -> left",  # another number
        "0 door (0.66) -> left",  # another word
        "0 key (0.66) -> left\n2 ball (0.69) -> forward",  # a line left out without a word
        "1 key (0.68) -> left\n...\n0 key (0.66) -> left",  # another order
    ],
)
def test_an_output_that_was_not_printed_is_found(shown: str) -> None:
    assert len(missing(shown, PRINTED)) == 1
