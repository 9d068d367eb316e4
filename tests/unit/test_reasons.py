"""One list of error reasons, errors.proto: the servers raise those of the list with their codes, and no others."""

import ast
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from shelm.status import BY_REASON, RULES
from shelm.v1 import errors_pb2

from services.protocol.reasons import CODES, failure

ROOT = Path(__file__).parents[2]
TREES = {path: ast.parse(path.read_text()) for path in sorted((ROOT / "services").rglob("*.py"))}


def spelled_out() -> Iterator[tuple[str, str, str]]:
    """File, code and reason of every `ServiceError(grpc.StatusCode.CODE, "REASON", ...)`."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ServiceError":
                code, reason = node.args[:2]
                if isinstance(reason, ast.Constant) and reason.value:
                    assert isinstance(code, ast.Attribute), path
                    yield path.name, code.attr, str(reason.value)


def named() -> set[str]:
    """Every reason that the servers' code names as a value of the enum."""
    names = (node.attr for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return {name.removeprefix("ERROR_REASON_") for name in names if name.startswith("ERROR_REASON_")}


def test_what_is_spelled_out_is_in_the_list_with_its_code() -> None:
    found = list(spelled_out())
    assert len(found) > 5
    for file, code, reason in found:
        assert CODES.get(reason, "not in errors.proto") is grpc.StatusCode[code], (file, reason)


def test_every_reason_of_the_list_is_raised_somewhere() -> None:
    assert named() | {reason for _, _, reason in spelled_out()} == set(CODES)


def test_every_reason_says_what_to_do() -> None:
    assert all(rule.advice and rule.code for rule in RULES.values())
    assert RULES.keys() == CODES.keys()


def test_every_class_of_the_client_stands_for_a_reason_of_the_list() -> None:
    assert BY_REASON.keys() <= RULES.keys()


@pytest.mark.parametrize("reason", [errors_pb2.ERROR_REASON_STEP_GAP, errors_pb2.ERROR_REASON_MODEL_UNAVAILABLE])
def test_the_code_of_an_error_follows_from_its_reason(reason: errors_pb2.ErrorReason) -> None:
    error = failure(reason, "text", retry_after=0.5)
    assert error.code is CODES[error.reason]
    assert (error.message, error.retry_after) == ("text", 0.5)
