"""JSON that can be read in two ways, or is only large, is refused with the field named."""

import json
from pathlib import Path

import pytest

from agent.strict_json import DEEPEST, LONGEST, parse_json, read_json, read_object

REFUSED = [
    ('{"a": 1, "a": 2}', r"'a': expected once, it is there 2 times"),
    ('{"b": {"a": 1, "c": 3, "a": 2}}', r"'a': expected once"),
    ('{"b": [1, {"c": NaN}]}', r"b\.1\.c: expected a finite number of at most 64 bits, got NaN"),
    ('{"b": -Infinity}', r"b: expected a finite number .* got -Infinity"),
    ('{"b": 1e999}', r"b: expected a finite number .* got 1e999"),
    ('{"b": 18446744073709551616}', r"b: expected a finite number"),
    ('{"b": -9223372036854775809}', r"b: expected a finite number"),
    ('{"b": %s}' % ("9" * 10_000), r"b: expected a finite number .* got 99999999999999999999\.\.\."),
    ('{"b": ["\\ud800"]}', r"b\.0: expected Unicode text"),
    ('{"\\udfff": 1}', r"expected Unicode text"),
    ('{"deep": ' + "[" * 100_000 + "]" * 100_000 + "}", rf"deep: expected at most {DEEPEST} values within each other"),
    ('{"deep": %s' % ('{"a":' * 1000), rf"expected at most {DEEPEST} values within each other"),
    ("{", "is not JSON"),
    ("", "is not JSON"),
]


@pytest.mark.parametrize(("text", "problem"), REFUSED, ids=range(len(REFUSED)))
def test_what_can_be_read_in_two_ways_is_refused_with_its_field(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^x.*{problem}"):
        parse_json(text, "x")


VALUES = [
    {"a": [1, -(2**63), 2**64 - 1, 1.5, 1e-300, "é\U0001f600", None, True, {}, []]},
    ["[[[[" * 100, '"' * 100, "\\" * 99],
    [[[[[[[[[[1]]]]]]]]]],
    "a",
    {"": {"": 0}},
]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
@pytest.mark.parametrize("indent", [None, 3])
@pytest.mark.parametrize("escaped", [True, False])
def test_other_json_is_read_as_by_the_library(value: object, indent: int | None, escaped: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=escaped)
    assert parse_json(text, "x") == value == json.loads(text)


def test_a_file_is_bounded_named_and_text(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text('"' + "a" * LONGEST + '"')
    with pytest.raises(ValueError, match=rf"x\.json: expected at most {LONGEST} bytes"):
        read_json(file)
    file.write_bytes(b'"\xff"')
    with pytest.raises(ValueError, match=r"x\.json is not JSON"):
        read_json(file)
    file.write_text("[1]")
    assert read_json(file) == [1]
    with pytest.raises(ValueError, match=r"x\.json: expected a JSON object"):
        read_object(file)
