"""The values last used, by key; no more than a number of them. Not safe for concurrent calls."""

from collections import OrderedDict
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """The values of the last `size` frames. hits, misses: as `services.runtime.cache_metrics` counts them."""

    def __init__(self, size: int) -> None:
        self._size, self.hits, self.misses = size, 0, 0
        self._values: OrderedDict[bytes, Value] = OrderedDict()

    def get(self, key: bytes) -> Value | None:
        """The value, which is then the last one used; None if there is none."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def keep(self, key: bytes, value: Value) -> None:
        """Keeps a value, in the place of the one that was not used for the longest time."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)
