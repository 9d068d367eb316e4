"""What the documentation says of the protos is whole, and as they are now."""

import shutil
from pathlib import Path

import pytest
from shelm.v1 import agent_pb2
from support.process import REPOSITORY

from services.protocol.reasons import CODES
from tools import reference

PAGE = REPOSITORY / "docs/reference.md"


def section(name: str) -> str:
    """What the page says under a heading."""
    found = [part for part in ("\n" + PAGE.read_text()).split("\n### ") if part.startswith(f"{name}\n")]
    assert len(found) == 1, name
    return found[0]


def test_making_the_pages_again_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = ("reference.md", "protocol.md")
    for page in pages:
        shutil.copy(REPOSITORY / "docs" / page, tmp_path)
    monkeypatch.setattr(reference, "DOCS", tmp_path)
    reference.main()
    for page in pages:
        assert (tmp_path / page).read_bytes() == (REPOSITORY / "docs" / page).read_bytes(), "run: make protos"


def test_every_error_reason_is_in_the_table_with_its_code() -> None:
    rows = (REPOSITORY / "docs/protocol.md").read_text().splitlines()
    for reason, code in CODES.items():
        assert [row for row in rows if row.startswith(f"| `{code.name}` | `{reason}` | ")], reason


def test_every_message_with_every_field_is_on_the_page() -> None:
    for name, message in agent_pb2.DESCRIPTOR.message_types_by_name.items():
        rows = section(name)
        for field in message.fields:
            assert f"| `{field.name}` | {field.number} | " in rows, f"{name}.{field.name}"


def test_every_enum_value_and_every_call_is_on_the_page() -> None:
    for name, enum in agent_pb2.DESCRIPTOR.enum_types_by_name.items():
        assert all(f"| `{value.name}` | {value.number} | " in section(name) for value in enum.values)
    for method in agent_pb2.DESCRIPTOR.services_by_name["AgentService"].methods:
        called = section(method.name)
        assert f"[{method.input_type.name}](#{method.input_type.name.lower()})" in called
        assert f"[{method.output_type.name}](#{method.output_type.name.lower()})" in called
