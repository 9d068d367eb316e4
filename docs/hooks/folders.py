"""Expands patterns in mkdocs.yml's navigation, such as `decisions/*.md`, to the matching pages, sorted by name.

Failure policy: a pattern without matches is kept, and the strict build reports it.
"""

from pathlib import Path
from typing import Any


def on_config(config: Any, **_: Any) -> None:
    """Called by mkdocs when it has read its settings."""
    docs = Path(config.docs_dir)

    def expanded(items: list[Any]) -> list[Any]:
        whole: list[Any] = []
        for item in items:
            if isinstance(item, dict):
                whole.append({title: expanded(inner) if isinstance(inner, list) else inner for title, inner in item.items()})
            else:
                whole += [page.relative_to(docs).as_posix() for page in sorted(docs.glob(item))] or [item]
        return whole

    config.nav = expanded(config.nav)
