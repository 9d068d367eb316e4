"""What every engine does when it is built from a bundle: say whose fault a failure is, and try the engine once.

Libraries answer damaged weights and settings with errors of all kinds, and some only when they compute. Here each is one
error that names the bundle, before anybody acts.

Failure policy: ValueError and FileNotFoundError, which name their file or value, pass; memory that a device has not got is
not the bundle's fault; any other error while a part is loaded or tried is InvalidBundle.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from agent.bundle import AgentBundle, Bundle, InvalidBundle, ObservationPart
from agent.frame import Frame

LARGEST = 1e9  # number that a part may compute: beyond any that training gives, and its square is far from overflow


@contextmanager
def loading(bundle: Bundle, part: str) -> Iterator[None]:
    """Around whatever reads or tries a part of the bundle. part: how the error names it."""
    try:
        yield
    except (ValueError, FileNotFoundError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        text = (str(error).splitlines() or [""])[0][:300]
        raise InvalidBundle(
            f"agent bundle {bundle.folder}: {part} cannot be used: {type(error).__name__}: {text}"
        ) from error


def trial_frame(size: ObservationPart) -> Frame:
    """A frame of this size that is not of one colour: on such a one half of a network computes with zeros."""
    return np.resize(np.arange(0, 251, dtype=np.uint8), (size.height, size.width, 3))


def check_output(bundle: AgentBundle, part: str, output: Tensor) -> None:
    """Finite weights may be so large that what is computed with them, or with that in the next part, is not."""
    if not torch.isfinite(output).all():
        raise InvalidBundle(f"agent bundle {bundle.folder}: {part} computes numbers that are not finite")
    if (most := float(output.abs().max())) > LARGEST:
        raise InvalidBundle(
            f"agent bundle {bundle.folder}: {part}: expected numbers up to {LARGEST:g}, it computes {most:g}"
        )
