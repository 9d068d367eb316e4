"""Generates the synchronous client from the asyncio one: `python -m tools.unasync_client [--check]`.

Contract: every module of `shelm.aio` except its __init__ and `primitives` has a module of the same name in `shelm`,
generated from it alone: `await` and `async` are removed, `AsyncName` becomes `Name`, and `shelm.aio` becomes `shelm`, in
code and comments. The same sources give the same bytes. With `--check` nothing is written; modules that are outdated,
missing, or without a source are listed, and the exit status is then 1.

Failure policy: a source that cannot be parsed ends the command with the formatter's output, before anything is written.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from unasync import Rule, unasync_files

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "clients" / "python" / "src" / "shelm"
BY_HAND = {"__init__.py", "primitives.py"}
HEADER = "# Generated from aio/{name} by tools/unasync_client.py (`make client`). Not edited by hand.\n"
GENERATED = re.compile(r"# Generated from aio/")
NAME = re.compile(r"\bAsync([A-Z]\w*)")
# Names that the rules of `unasync` do not include.
NAMES = {"enter_async_context": "enter_context"}
TEXTS = (("an `async with`", "a `with`"), ("`async with`", "`with`"), ("`async for`", "`for`"))


def generated(package: Path = PACKAGE) -> dict[str, str]:
    """Returns the text of each generated module of `package` by file name."""
    sources = {path.name: path.read_text() for path in sorted((package / "aio").glob("*.py")) if path.name not in BY_HAND}
    names = {name.group(): name[1] for source in sources.values() for name in NAME.finditer(source)}
    with tempfile.TemporaryDirectory() as folder:
        asynchronous, synchronous = Path(folder, "aio"), Path(folder, "shelm")
        asynchronous.mkdir()
        for name, source in sources.items():
            (asynchronous / name).write_text(source.replace("shelm.aio", "shelm"))
        rule = Rule(str(asynchronous), str(synchronous), additional_replacements=NAMES | names)
        unasync_files([str(asynchronous / name) for name in sources], [rule])
        for name in sources:
            text = HEADER.format(name=name) + _in_words((synchronous / name).read_text())
            (synchronous / name).write_text(text)
        _ruff("check", "--quiet", "--select", "I", "--fix", str(synchronous))
        _ruff("format", "--quiet", str(synchronous))
        return {name: (synchronous / name).read_text() for name in sources}


def differences(package: Path = PACKAGE) -> list[str]:
    """Returns a sentence for each module of `package` that is not up to date; empty if all are."""
    wanted = generated(package)
    found = {path.name: path.read_text() for path in sorted(package.glob("*.py"))}
    stale = [f"{name}: differs from what aio/{name} gives" for name, text in wanted.items() if found.get(name) != text]
    orphans = [name for name, text in found.items() if GENERATED.match(text) and name not in wanted]
    return stale + [f"{name}: is generated, but aio/{name} is gone" for name in orphans]


def main(arguments: Sequence[str] | None = None) -> int:
    """Generates, or checks; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.unasync_client", description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a generated module is stale")
    parser.add_argument("--package", type=Path, default=PACKAGE, help="folder of the package shelm")
    options = parser.parse_args(arguments)
    if not options.check:
        for name, text in generated(options.package).items():
            (options.package / name).write_text(text)
        return 0
    wrong = differences(options.package)
    for line in wrong:
        print(f"{line}; run `make client`", file=sys.stderr)
    return 1 if wrong else 0


def _in_words(text: str) -> str:
    """Returns the text with terms of asyncio in comments and docstrings replaced."""
    for asynchronous, synchronous in TEXTS:
        text = text.replace(asynchronous, synchronous)
    return NAME.sub(r"\1", text)


def _ruff(*arguments: str) -> None:
    """Runs ruff with the client's own settings; raises SystemExit with its output if it fails."""
    settings = [str(REPOSITORY / "clients" / "python" / "pyproject.toml"), 'lint.isort.known-first-party = ["shelm"]']
    options = [word for setting in settings for word in ("--config", setting)]
    command = [sys.executable, "-m", "ruff", arguments[0], *options, "--no-cache", *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr or done.stdout)


if __name__ == "__main__":
    sys.exit(main())
