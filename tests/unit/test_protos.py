"""The contracts: fixed names and numbers, comments, generated stubs, and what counts as a break."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from shelm.v1 import agent_pb2
from support.process import REPOSITORY

BUF = Path(sys.executable).with_name("buf")

# These names and numbers are fixed: clients were generated from them.
FIXED = {
    "ActRequest": {"episode_id": 1, "step": 2, "observation": 3, "agent": 4, "deterministic": 5},
    "Image": {"encoding": 1, "height": 2, "width": 3, "data": 4},
    "ActResponse": {
        "episode_id": 1,
        "step": 2,
        "action": 3,
        "committed_step": 4,
        "replayed": 5,
        "tokens": 6,
        "value": 7,
        "log_prob": 8,
        "memory": 9,
        "agent_digest": 10,
        "timing": 11,
    },
    "Action": {"discrete": 1, "continuous": 2, "dict": 3},
    "Token": {"text": 1, "similarity": 2, "id": 3},
    "Memory": {"length": 1, "window": 2, "rebuilt": 3},
    "GetMemoryRequest": {"episode_id": 1, "from_step": 2, "limit": 3},
    "GetMemoryResponse": {"steps": 1},
    "MemoryStep": {"step": 1, "tokens": 2, "action": 3, "in_window": 4, "time": 5},
}
METHODS = {
    "Act",
    "ActBatch",
    "ActStream",
    "CreateEpisode",
    "BranchEpisode",
    "EndEpisode",
    "DeleteEpisode",
    "GetEpisode",
    "ListEpisodes",
    "SearchEpisodes",
    "CompareOutcomes",
    "GetMemory",
    "WatchMemory",
    "ExplainStep",
    "WhatIf",
    "GetFrame",
    "ListAgents",
    "GetAgent",
}


def buf(*arguments: str, where: Path = REPOSITORY / "protos") -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BUF), *arguments], cwd=where, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("message", sorted(FIXED))
def test_the_public_messages_keep_their_names_and_numbers(message: str) -> None:
    fields = agent_pb2.DESCRIPTOR.message_types_by_name[message].fields_by_name
    numbers = {name: field.number for name, field in fields.items()}
    assert FIXED[message].items() <= numbers.items()


def test_the_public_service_has_exactly_the_calls_of_the_architecture() -> None:
    service = agent_pb2.DESCRIPTOR.services_by_name["AgentService"]
    assert set(service.methods_by_name) == METHODS


def test_buf_finds_every_message_and_field_commented_and_well_formed() -> None:
    result = buf("lint")
    assert result.returncode == 0, result.stdout


def test_buf_lint_refuses_a_field_without_a_comment(tmp_path: Path) -> None:
    copy = shutil.copytree(REPOSITORY / "protos", tmp_path / "protos")
    path = copy / "shelm/v1/agent.proto"
    path.write_text(path.read_text().replace("  // The word.\n", "", 1))
    result = buf("lint", where=copy)
    assert result.returncode == 100
    assert "Field" in result.stdout


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("string episode_id = 1;", "string episode_id = 15;"),
        ("uint64 committed_step = 4;", "string committed_step = 4;"),
        ("  rpc GetAgent(GetAgentRequest) returns (GetAgentResponse);\n", ""),
    ],
)
def test_buf_breaking_refuses_a_changed_contract(tmp_path: Path, old: str, new: str) -> None:
    copy = shutil.copytree(REPOSITORY / "protos", tmp_path / "protos")
    path = copy / "shelm/v1/agent.proto"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert buf("breaking", "--against", str(REPOSITORY / "protos"), where=copy).returncode == 100


def test_buf_breaking_accepts_the_contract_as_it_is(tmp_path: Path) -> None:
    copy = shutil.copytree(REPOSITORY / "protos", tmp_path / "protos")
    result = buf("breaking", "--against", str(REPOSITORY / "protos"), where=copy)
    assert result.returncode == 0, result.stdout


def breaking(protos: Path) -> subprocess.CompletedProcess[str]:
    """What `make lint` runs against the contracts of the last release, on a copy of protos/."""
    (line,) = re.findall(r"^\tcd protos && \.\./\$\(BIN\)/buf (breaking .+)$", (REPOSITORY / "Makefile").read_text(), re.M)
    return buf(*line.split(), where=protos)


def test_the_contracts_break_nothing_that_was_released() -> None:
    result = breaking(REPOSITORY / "protos")
    assert result.returncode == 0, result.stdout


FIELDS = {
    "shelm/v1/agent.proto": "  uint64 committed_step = 4;",
    "shelm/v1/errors.proto": "  bool retryable = 2;",
    "shelm/internal/v1/episode.proto": "  bytes history_digest = 6;",
    "shelm/internal/v1/memory.proto": "  bytes history_digest = 5;",
    "shelm/internal/v1/retrieval.proto": "  repeated RetrieveResult results = 1;",
}


def test_a_field_of_every_contract_is_tried() -> None:
    assert FIELDS.keys() == {
        str(path.relative_to(REPOSITORY / "protos")) for path in (REPOSITORY / "protos").rglob("*.proto")
    }


@pytest.mark.parametrize("file", sorted(FIELDS))
def test_a_field_that_gets_another_number_fails_make_lint(tmp_path: Path, file: str) -> None:
    copy = shutil.copytree(REPOSITORY / "protos", tmp_path / "protos")
    text = (copy / file).read_text()
    assert FIELDS[file] in text
    (copy / file).write_text(text.replace(FIELDS[file], re.sub(r"\d+;", "99;", FIELDS[file]), 1))
    result = breaking(copy)
    assert result.returncode == 100
    assert file in result.stdout


# Where generated stubs lie -> the -I of protoc, and the folder of their protos.
STUBS = {
    "clients/python/src/shelm/v1": (["-Iprotos"], "protos/shelm/v1"),
    "services/protocol/stubs": (
        ["-Iservices/protocol/stubs=protos/shelm/internal/v1", "-Iprotos"],
        "protos/shelm/internal/v1",
    ),
}


@pytest.mark.parametrize("folder", sorted(STUBS))
def test_the_stubs_are_those_that_the_protos_give(tmp_path: Path, folder: str) -> None:
    paths, protos = STUBS[folder]
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    files = sorted(str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / protos).glob("*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", *paths, *outputs, *files]
    subprocess.run(command, cwd=REPOSITORY, check=True, timeout=120)
    made = {path.name: path for path in tmp_path.rglob("*_pb2*.py*")}
    names = {path.name for path in (REPOSITORY / folder).glob("*_pb2*.py*")}
    assert names >= {f"{Path(file).stem}_pb2{ending}" for file in files for ending in (".py", ".pyi")}
    for name in names:
        assert (REPOSITORY / folder / name).read_text() == made[name].read_text(), name
