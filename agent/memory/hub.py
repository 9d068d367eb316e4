"""Language models of the Hugging Face hub.

Failure policy: ValueError for what is no name of the hub; the hub's library raises its own errors.
"""

from pathlib import Path


def hub_folder(name: str, patterns: list[str]) -> Path:
    """Returns the folder with those files of `OWNER/NAME@REVISION` that match the patterns, downloaded if they are not here.

    Without a revision it is the latest, which bundles may not name.
    """
    from huggingface_hub import snapshot_download

    repository, _, revision = name.partition("@")
    if Path(repository).exists() or repository.count("/") != 1 or ".." in repository:
        raise ValueError(f"language model source 'hub:{name}': expected hub:OWNER/NAME@REVISION, not a path")
    return Path(snapshot_download(repository, revision=revision or None, allow_patterns=patterns))
