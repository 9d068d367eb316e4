"""Replaces links to repository files that are not part of the site, or to folders, by their path as plain text.

The same page thus works in the repository, where the link leads to the file, and on the site. Contract: links to pages,
other hosts and anchors, and code blocks, are unchanged. Failure policy: a link to a file that does not exist is kept, and
the strict build reports it.
"""

import os
import re
from pathlib import Path
from typing import Any

CODE = r"^(?P<fence>`{3,}).*?^(?P=fence)"
LINK = r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<path>(?![a-z]+:|[/#])[^)#\s]+)(?:#[^)\s]*)?\)"
CODE_OR_LINK = re.compile(f"{CODE}|{LINK}", re.MULTILINE | re.DOTALL)


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Called by mkdocs with the text of every page."""
    root, docs = Path(config.config_file_path).parent, Path(config.docs_dir)
    folder = docs / Path(page.file.src_uri).parent

    def plain(found: re.Match[str]) -> str:
        if found["fence"]:
            return found[0]
        target = Path(os.path.normpath(folder / found["path"]))
        on_site = target.is_relative_to(docs) and target.is_file()
        if on_site or not target.is_relative_to(root) or not target.exists():
            return found[0]
        name, text = target.relative_to(root).as_posix(), found["text"].strip("`")
        return f"`{name}`" if text in name else f"{found['text']} (`{name}`)"

    return CODE_OR_LINK.sub(plain, markdown)
