"""A pattern in mkdocs.yml's navigation, such as `decisions/*.md`, stands for the pages that it fits, by name.

Failure policy: a pattern that no page fits stays, and the strict build refuses it.
"""

from pathlib import Path
from typing import Any


def on_config(config: Any, **_: Any) -> None:
    """Called by mkdocs when its settings are read."""
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
