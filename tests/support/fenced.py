"""The fenced blocks of a Markdown page.

Contract: commands (`bash`, `python`, `console`) are run by tests/docs, or a comment on the line above the fence says why
that cannot be done here: `<!-- not run here: REASON -->`, with a reason that begins with one of `CANNOT_BE_HERE`. A block
without a language is output. Right after commands that are run it is what they print, unless the line above its fence says
why it cannot be the same each time: `<!-- for example: REASON -->`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

COMMANDS = ("bash", "python", "console", "sh", "shell")
CANNOT_BE_HERE = {
    "docker": "no container engine",
    "cluster": "no Kubernetes",
    "GPU": "no GPU",
    "internet": "nothing but package registries can be reached",
    "hours": "it takes hours",
    "registry": "it installs packages",
    "another project": "it needs a program that is not ours and not installed",
    "the tests": "it is the test run itself",
    "by hand": "it runs until somebody ends it, and shows itself in a browser",
}
_FIRST_WORD = re.compile(r"(\$ |[A-Z_]+=\S+ )*(make|python\d?|shelm|pip|npm|git|curl|docker|kubectl|source) ")
_BLOCK = re.compile(
    r"(?:^<!-- (?:not run here|for example): (?P<reason>.+?) -->\n)?"
    r"^(?P<fence>`{3,})(?P<language>[^\n`]*)\n(?P<code>.*?)^(?P=fence)\s*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One block; `line` is where its fence stands, `reason` why it is not run or not compared, "" if it must be."""

    page: str
    line: int
    language: str
    code: str
    reason: str

    @property
    def is_command(self) -> bool:
        """Whether a reader would run it."""
        return self.language in COMMANDS

    @property
    def is_output(self) -> bool:
        """Whether it is what the block before it prints."""
        return not self.language and not self.reason

    @property
    def hides_a_command(self) -> bool:
        """Whether it looks like commands without saying so."""
        return not self.is_command and bool(_FIRST_WORD.match(self.code))

    @property
    def may_stay(self) -> bool:
        """Whether the reason for not running it is one that counts."""
        return self.reason.startswith(tuple(CANNOT_BE_HERE))

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(path: Path) -> list[Block]:
    """All blocks of a page, in order."""
    text = path.read_text()
    return [
        Block(
            page=path.name,
            line=text.count("\n", 0, found.start("fence")) + 1,
            language=found["language"].strip(),
            code=found["code"],
            reason=found["reason"] or "",
        )
        for found in _BLOCK.finditer(text)
    ]
