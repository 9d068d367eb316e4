"""`InFlight`: how many calls of one kind an account may have under way.

Contract: a call holds a place from when its message is there to its end. An account is a tenant, or a token that has none
(`services.runtime.auth.account`), so one that asks for too much keeps nobody else waiting. Failure policy: the error that
`refusal` makes, RESOURCE_EXHAUSTED with the time after which a retry makes sense.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from services.runtime.auth import account
from services.runtime.errors import ServiceError


class InFlight:
    """The calls of one kind. most: of one account."""

    def __init__(self, most: int, refusal: Callable[[], ServiceError]) -> None:
        self._most, self._refusal = most, refusal
        self._running: Counter[str] = Counter()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Around a call of the caller; ServiceError if it has as many already."""
        name = account()
        if self._running[name] >= self._most:
            raise self._refusal()
        self._running[name] += 1
        try:
            yield
        finally:
            self._running[name] -= 1
            if not self._running[name]:
                del self._running[name]  # accounts come and go
