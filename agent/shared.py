"""Objects that a process holds once, however many agents use them: weights, vocabularies.

`shared(key, make)` returns the object that is alive under `key`, or makes it. The key must determine the object completely,
so it is built from SHA-256 digests, device and dtype. Only the users hold the object: when the last one drops it, its memory
is freed, and the next call makes it anew. What is shared is read by several threads and must not be changed.

Failure: what `make` raises is passed on, and nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import RLock
from typing import Any, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")

_objects: WeakValueDictionary[Hashable, Any] = WeakValueDictionary()
_lock = RLock()  # held while an object is made, so that two threads do not make it twice; `make` may call `shared` itself


def shared(key: Hashable, make: Callable[[], T]) -> T:
    """Returns the one living object of `key`; the object must support weak references."""
    with _lock:
        found: T | None = _objects.get(key)
        if found is None:
            found = _objects[key] = make()
        return found
