"""The page of guarantees: each names its conditions and tests, and each of these tests is in the repository."""

import ast
import re

from support.process import REPOSITORY

PAGE = (REPOSITORY / "docs/guarantees.md").read_text()
GUARANTEED, NOT_GUARANTEED = PAGE.split("\n## What is not guaranteed\n")
GUARANTEES = re.split(r"\n(?=\*\*)", GUARANTEED)[1:]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def functions(path: str) -> set[str]:
    """The functions of a file; none if it is not there."""
    file = REPOSITORY / path
    nodes = ast.parse(file.read_text()).body if file.is_file() else []
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_test_that_is_named_is_there() -> None:
    named = NAMED.findall(PAGE)
    assert len(named) == PAGE.count("::") > 20, "each in the form FILE::NAME"
    assert not [f"{path}::{name}" for path, name in named if name not in functions(path) or not name.startswith("test_")]


def test_every_guarantee_has_its_conditions_and_a_test() -> None:
    assert len(GUARANTEES) > 10
    wrong = [one for one in GUARANTEES if "\n- Conditions: " not in one or not NAMED.search(one.partition("\n- Tests: ")[2])]
    assert not wrong


def test_what_is_not_guaranteed_is_said() -> None:
    assert len(re.findall(r"^- \*\*", NOT_GUARANTEED, re.MULTILINE)) > 5


def test_a_name_that_is_no_test_is_found() -> None:
    assert "test_nothing" not in functions("tests/docs/test_guarantees.py")
    assert functions("tests/docs/test_gone.py") == set()
