"""Prompt templates per environment (docs/paper.md#vocabulary). MiniGrid and MiniWorld use the bare word."""

from __future__ import annotations

from pathlib import Path

NONE = ("{}",)
PSYCHLAB = tuple(
    f"{start} {word}" for start in ("a render of", "a screenshot of", "a screen showing") for word in ("{}", "a {}")
)
AVALON = (
    "a screenshot of {}",
    "a screenshot of a {}",
    "a screenshot of many {}",
    "a biome containing {}",
    "a biome containing a {}",
    "a biome containing many {}",
    "a biome full of {}",
)
NAMED = {"none": NONE, "psychlab": PSYCHLAB, "avalon": AVALON}


def load_prompts(name: str) -> tuple[str, ...]:
    """Returns the prompt templates of a name (none, psychlab, avalon) or of a text file with one template per line.

    Raises ValueError if a template lacks `{}`, FileNotFoundError if the file does not exist.
    """
    if name in NAMED:
        return NAMED[name]
    templates = tuple(line.strip() for line in Path(name).read_text().splitlines() if line.strip())
    for template in templates or ("",):
        if template.count("{}") != 1:
            raise ValueError(f"prompts {name}: expected templates with one {{}} each, got {template!r}")
    return templates
