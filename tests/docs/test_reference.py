"""docs/reference.md is made from agent.proto, whole and as it is now."""

import subprocess
import sys
from pathlib import Path

from shelm.v1 import agent_pb2
from support.process import REPOSITORY

PAGE = REPOSITORY / "docs/reference.md"


def section(name: str) -> str:
    """What the page says under a heading."""
    found = [part for part in ("\n" + PAGE.read_text()).split("\n### ") if part.startswith(f"{name}\n")]
    assert len(found) == 1, name
    return found[0]


def test_making_it_again_gives_the_same_bytes(tmp_path: Path) -> None:
    copy = tmp_path / "protos"
    (tmp_path / "docs").mkdir()
    subprocess.run(["cp", "-r", str(REPOSITORY / "protos"), str(copy)], check=True)
    subprocess.run([sys.executable, str(copy / "reference.py")], check=True, timeout=120)
    assert (tmp_path / "docs/reference.md").read_bytes() == PAGE.read_bytes(), "run: python tools/reference.py"


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
