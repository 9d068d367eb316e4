"""axe-core, the accessibility checker, from its npm package, fetched once into .cache.

Failure policy: skips, with the reason, if it cannot be fetched.
"""

from typing import Any

import pytest
from playwright.sync_api import Page
from support.process import REPOSITORY

from services.inspector.assets import CannotFetch, fetch

VERSION = "4.14.1"
INTEGRITY = "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
CACHED = REPOSITORY / ".cache" / f"axe-core-{VERSION}.js"


def axe_source() -> str:
    """The checker's script."""
    if not CACHED.exists():
        try:
            source = fetch("axe-core", VERSION, INTEGRITY)["axe.min.js"]
        except CannotFetch as error:
            pytest.skip(str(error))
        CACHED.parent.mkdir(exist_ok=True)
        CACHED.write_bytes(source)
    return CACHED.read_text()


def violations(page: Page) -> list[Any]:
    """What axe finds: rule and elements. The page's own rules about scripts stay in force."""
    page.evaluate(axe_source())
    found = page.evaluate("() => axe.run()")
    assert found["passes"], "axe has checked nothing"
    return [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found["violations"]]
