"""Generates the reference documentation of the protos: `python -m tools.reference`.

Contract: docs/reference.md contains every service, method, message, field, enum and value of the public API with its
comment, number and type; types are links. The table of error reasons in docs/protocol.md is generated from errors.proto. The
same protos give the same bytes. Failure policy: protos that do not compile end the command with protoc's output; two names
with the same anchor, or a page without the marks of the table, raise ValueError.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from shelm.v1 import errors_pb2

ROOT = Path(__file__).parents[1]
PROTOS, DOCS = ROOT / "protos", ROOT / "docs"
AGENT, ERRORS = "shelm/v1/agent.proto", "shelm/v1/errors.proto"
# Around the table of error reasons in docs/protocol.md.
BEGIN, END = "<!-- error reasons: made from errors.proto by `make protos` -->\n", "<!-- end of error reasons -->\n"
WELL_KNOWN = "https://protobuf.dev/reference/protobuf/google.protobuf/#"
Field = FieldDescriptorProto
# Field numbers of descriptor.proto, which form the paths in source information.
MESSAGES, ENUMS, SERVICES, MEMBERS, ONEOFS, SYNTAX = 4, 5, 6, 2, 8, 12
INTRODUCTION = """# Protocol reference

Every call and message of [`agent.proto`](../protos/shelm/v1/agent.proto), made from its comments by `make protos`.
The step rule, the errors and how to retry are in [Protocol](protocol.md), the words in [Concepts](concepts.md).
"""


def describe(file: str) -> FileDescriptorProto:
    """Returns one file of the API with its comments."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "set.pb")
        flags = ["--include_source_info", f"--descriptor_set_out={out}"]
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", *flags, str(PROTOS / file)]
        if subprocess.run(command, check=False).returncode:
            sys.exit(1)
        return FileDescriptorSet.FromString(out.read_bytes()).file[0]


class Reference:
    """The page of one file."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._file = file
        self._comments = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
        self._anchors: dict[str, str] = {}

    def text(self) -> str:
        """Returns the whole page."""
        parts = [INTRODUCTION, self._comment(SYNTAX)]
        for at, service in enumerate(self._file.service):
            parts.append(self._heading(service.name) + self._comment(SERVICES, at) + self._calls(at, service))
        parts.append("## Messages\n")
        parts += [
            self._heading(message.name, level=3) + self._comment(MESSAGES, at) + self._fields(at, message)
            for at, message in enumerate(self._file.message_type)
        ]
        parts.append("## Enums\n")
        parts += [
            self._heading(enum.name, level=3) + self._comment(ENUMS, at) + self._values(at, enum)
            for at, enum in enumerate(self._file.enum_type)
        ]
        return "\n".join(parts)

    def _heading(self, name: str, level: int = 2) -> str:
        if self._anchors.setdefault(name.lower(), name) != name:
            raise ValueError(f"{name} and {self._anchors[name.lower()]} would have the same anchor")
        return f"{'#' * level} {name}\n\n"

    def _comment(self, *path: int) -> str:
        comment = self._comments[path].strip()
        return "\n".join(line.strip() for line in comment.splitlines()) + "\n"

    def _cell(self, *path: int) -> str:
        return " ".join(self._comments[path].split()).replace("|", "\\|")

    def _calls(self, at: int, service: Any) -> str:
        return "".join(
            f"\n{self._heading(method.name, level=3)}{self._comment(SERVICES, at, MEMBERS, number)}\n"
            f"{_type(method.input_type, method.client_streaming)} → {_type(method.output_type, method.server_streaming)}\n"
            for number, method in enumerate(service.method)
        )

    def _fields(self, at: int, message: Any) -> str:
        if not message.field:
            return "\nIt has no fields.\n"
        rows = [
            (f"`{field.name}`", str(field.number), _field_type(field), self._field_meaning(at, number, message))
            for number, field in enumerate(message.field)
        ]
        return "\n" + self._choices(at, message) + _table(("field", "number", "type", "meaning"), rows)

    def _choices(self, at: int, message: Any) -> str:
        """Returns the text for each oneof; those that protoc generates for optional fields have no comment."""
        names = [(f"`{one.name}`", (MESSAGES, at, ONEOFS, number)) for number, one in enumerate(message.oneof_decl)]
        return "".join(f"{name}: {self._cell(*path)}\n\n" for name, path in names if path in self._comments)

    def _field_meaning(self, at: int, number: int, message: Any) -> str:
        field, meaning = message.field[number], self._cell(MESSAGES, at, MEMBERS, number)
        chosen = field.HasField("oneof_index") and not field.proto3_optional
        return f"{meaning} (one of `{message.oneof_decl[field.oneof_index].name}`)" if chosen else meaning

    def _values(self, at: int, enum: Any) -> str:
        rows = [
            (f"`{value.name}`", str(value.number), self._cell(ENUMS, at, MEMBERS, number))
            for number, value in enumerate(enum.value)
        ]
        return "\n" + _table(("value", "number", "meaning"), rows)


def _field_type(field: Field) -> str:
    if field.type in (Field.TYPE_MESSAGE, Field.TYPE_ENUM):
        name = _type(field.type_name)
    else:
        name = f"`{Field.Type.Name(field.type).removeprefix('TYPE_').lower()}`"
    if field.proto3_optional:
        return f"optional {name}"
    return f"repeated {name}" if field.label == Field.LABEL_REPEATED else name


def _type(full_name: str, streaming: bool = False) -> str:
    """Returns a link to a type; protobuf's own types link to their documentation."""
    name = full_name.rpartition(".")[2]
    own = full_name.startswith(".shelm.v1.")
    target = f"#{name.lower()}" if own else WELL_KNOWN + re.sub("(?<!^)(?=[A-Z])", "-", name).lower()
    return f"{'stream of ' if streaming else ''}[{name if own else full_name.removeprefix('.')}]({target})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def lines() -> Iterator[str]:
        for row in (head, ["---"] * len(head), *rows):
            yield f"| {' | '.join(row)} |\n"

    return "".join(lines())


def error_table(file: FileDescriptorProto) -> str:
    """One row for each error reason: code, reason, what it means, whether a retry may help, what to do."""
    (enum,) = file.enum_type
    comments = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
    rule: Any = errors_pb2.rule
    rows = []
    for number, value in enumerate(enum.value):
        if value.number:
            known = value.options.Extensions[rule]
            meaning = " ".join(comments[ENUMS, 0, MEMBERS, number].split())
            name = value.name.removeprefix("ERROR_REASON_")
            rows.append((f"`{known.code}`", f"`{name}`", meaning, "yes" if known.retryable else "", known.advice))
    return _table(("code", "reason", "meaning", "retry", "what to do"), rows)


def main() -> None:
    """Writes both pages."""
    (DOCS / "reference.md").write_text(Reference(describe(AGENT)).text())
    page = DOCS / "protocol.md"
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page}: the marks around the table of error reasons are missing")
    page.write_text(before + begin + "\n" + error_table(describe(ERRORS)) + "\n" + end + after)


if __name__ == "__main__":
    main()
