"""What the images ship: every package is on the page with its licence, and one that may not be shipped is named."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from tools.packages import APART, LISTS, installed
from tools.sbom import by_name, licence_of, shipped, wrong


def environment(**licences: str | None) -> dict[str, Any]:
    """An SBOM of packages with these licences; None: it says nothing of one."""
    return {
        "components": [
            {"name": name, "version": "1.0", "licenses": [{"license": {"name": licence}}] if licence else []}
            for name, licence in licences.items()
        ]
    }


@pytest.mark.parametrize(
    "licence",
    [
        "GPL-3.0-or-later",
        "AGPL-3.0",
        "GNU General Public License v3 (GPLv3)",
        "GNU Affero General Public License v3",
        "SSPL-1.0",
    ],
)
def test_a_licence_that_reaches_what_is_beside_it_is_named(licence: str) -> None:
    packages = by_name(environment(numpy=licence))
    assert wrong({"policy": list(packages.values())}) == [f"policy: numpy 1.0: {licence}"]


@pytest.mark.parametrize(
    "licence", ["MIT", "LGPL-2.1", "GNU Lesser General Public License v2 (LGPLv2)", "GPL-2.0 OR MIT", "Apache-2.0 AND MIT"]
)
def test_other_licences_are_not(licence: str) -> None:
    assert wrong({"policy": list(by_name(environment(numpy=licence)).values())}) == []


def test_a_package_that_says_nothing_of_its_licence_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.sbom.metadata", lambda name: {"License": None})
    assert wrong({"policy": list(by_name(environment(numpy=None)).values())}) == ["policy: numpy 1.0: names no licence"]


def test_a_licence_in_words_of_its_own_is_taken_from_the_package() -> None:
    assert licence_of(by_name(environment(transformers=None))["transformers"]) == "Apache 2.0 License"


def test_an_image_holds_its_weights_and_charts_as_well() -> None:
    assert [one["name"] for one in shipped("memory", {})] == ["SmolLM2-135M-Instruct"]
    assert [one["name"] for one in shipped("inspector", {})] == ["echarts"]
    assert shipped("policy", {}) == []


@pytest.mark.parametrize("image", LISTS)
def test_the_page_has_every_package_of_an_image_in_its_version(image: str) -> None:
    lines = Path("docs/licences.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    page = {
        (canonicalize_name(name), number)
        for name, number, licence, images in rows[1:]
        if image in images.split(", ") and licence
    }
    names = installed(image) | APART.get(image, set())
    assert {(name, version(name)) for name in names} <= page
