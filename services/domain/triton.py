"""How an agent bundle's three models are called in a Triton Inference Server, and the settings of that engine.

The digest is part of a model's name, because the versions of one Triton model share their shapes, and bundles do not;
several bundles stand side by side, so that a running episode stays on its own. Failure policy: none of its own.
"""

from typing import Literal

from services.domain.settings import AgentSettings
from services.runtime.triton import Triton

Part = Literal["clip_image", "memory", "policy"]
PARTS: tuple[Part, ...] = ("clip_image", "memory", "policy")


def model_name(part: Part, digest: str) -> str:
    """The Triton model that serves a part of the bundle with this digest."""
    return f"{part}_{digest[:16]}"


def connect_triton(settings: AgentSettings) -> Triton | None:
    """A connection if the engine is Triton; inside a running event loop."""
    if settings.engine == "local":
        return None
    return Triton(settings.triton_target, timeout=settings.triton_timeout, max_in_flight=settings.max_queue)
