"""Which package a function belongs to, when an editable install of it left more than one set of metadata on the path."""

import json
from pathlib import Path

import pytest

from agent.wordless.entry_point import load_entry_point
from agent.wordless.parts import EntryPointPart

PART = EntryPointPart(
    kind="entry_point", entry_point="brought_along:Policy", package="brought-along", version="1.0", state_bytes=3
)
MODULE = """
class Policy:
    state_bytes = 3

    def __init__(self, folder):
        pass
"""


def _metadata(folder: Path, origin: Path | None) -> None:
    folder.mkdir(parents=True)
    name = "METADATA" if folder.suffix == ".dist-info" else "PKG-INFO"
    (folder / name).write_text("Metadata-Version: 2.1\nName: brought-along\nVersion: 1.0\n")
    if origin:
        (folder / "direct_url.json").write_text(json.dumps({"url": origin.as_uri(), "dir_info": {"editable": True}}))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that building left metadata in, found before the install that points to it."""
    checkout, site = tmp_path / "checkout", tmp_path / "site"
    _metadata(checkout / "brought_along.egg-info", None)
    _metadata(site / "brought_along-1.0.dist-info", checkout)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.syspath_prepend(str(checkout))
    return checkout


def test_a_function_of_an_editable_package_is_found_though_the_checkout_holds_metadata_of_a_build(checkout: Path) -> None:
    (checkout / "brought_along.py").write_text(MODULE)
    assert load_entry_point(checkout, PART).state_bytes == 3


def test_a_module_outside_of_the_packages_folder_is_refused(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = checkout.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "brought_from_elsewhere.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(elsewhere))
    with pytest.raises(ValueError, match=r"^policy\.entry_point: brought_from_elsewhere is not of brought-along$"):
        load_entry_point(checkout, PART.model_copy(update={"entry_point": "brought_from_elsewhere:Policy"}))
