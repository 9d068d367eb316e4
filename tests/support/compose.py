"""docker-compose.yml as Compose sees it."""

import re
from typing import Any

import yaml

from support.process import REPOSITORY

COMPOSE = REPOSITORY / "docker-compose.yml"
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def rendered(**variables: str) -> dict[str, Any]:
    """The file as Compose sees it, with these variables and no others; anchors and merges are plain YAML."""
    text = VARIABLE.sub(lambda match: variables.get(match[1]) or match[2] or "", COMPOSE.read_text())
    content: dict[str, Any] = yaml.safe_load(text)
    return {key: value for key, value in content.items() if not key.startswith("x-")}


SERVICES: dict[str, dict[str, Any]] = rendered()["services"]
