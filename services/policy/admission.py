"""`Admission`: which episodes may begin, and how many Acts a tenant may ask for.

Contract: an episode begins while Redis has room and its tenant has fewer episodes than its limit; an Act is taken while its
tenant has asked for no more than its Acts a second, of which it may save up those of one second. Each replica of policy
counts the Acts that come to it. Failure policy: STORE_FULL and TENANT_QUOTA, with the time after which a retry makes sense.
"""

import time
from collections.abc import Callable

from services.policy import errors
from services.protocol.names import tenant_of
from services.runtime.errors import ServiceError
from services.runtime.tokens import TokensFile
from services.store.census import Census
from services.store.pressure import Pressure


class Admission:
    """clock: as `time.monotonic`."""

    def __init__(
        self, pressure: Pressure, census: Census, tokens: TokensFile, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pressure, self._census, self._tokens, self._clock = pressure, census, tokens, clock
        self._saved: dict[str, tuple[float, float]] = {}  # by tenant: Acts that it may ask for at once, and when that was

    def refusal(self, name: str) -> ServiceError | None:
        """Why an episode of this full name may not begin now."""
        if self._pressure.full:
            return errors.store_full(name)
        tenant = tenant_of(name)
        limits = self._tokens.quotas().get(tenant)
        if limits and limits.episodes and self._census.of(tenant) >= limits.episodes:
            return errors.too_many_episodes(name, limits.episodes)
        return None

    def begin(self, name: str) -> None:
        """Lets an episode of this full name begin; ServiceError if it may not."""
        if error := self.refusal(name):
            raise error
        self.begun(name)

    def begun(self, name: str) -> None:
        """An episode of this full name has begun."""
        self._census.begins(tenant_of(name))

    def act(self, name: str) -> None:
        """Takes an Act of this episode; ServiceError if its tenant has had its share."""
        tenant = tenant_of(name)
        limits = self._tokens.quotas().get(tenant)
        if not limits or not limits.acts:
            return
        now = self._clock()
        saved, then = self._saved.get(tenant, (max(1.0, limits.acts), now))
        saved = min(max(1.0, limits.acts), saved + (now - then) * limits.acts)
        if saved < 1.0:
            self._saved[tenant] = saved, now
            raise errors.too_many_acts(name, limits.acts, (1.0 - saved) / limits.acts)
        self._saved[tenant] = saved - 1.0, now
