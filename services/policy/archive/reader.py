"""`Episodes`: reads episodes wherever they are, in Redis or in the archive alone.

Contract: as `EpisodeStore.read` and `steps`. Redis is asked first; the archive only where Redis has no episode of that name.

Failure policy: ARCHIVE_UNAVAILABLE if the archive cannot be read, ARCHIVE_OFF if there is none and it is asked for.
"""

from shelm.v1 import errors_pb2

from services.policy.archive.archive import Archive, Episode
from services.policy.archive.index import ArchiveIndex
from services.policy.places import reached
from services.protocol.reasons import failure
from services.protocol.values import CommittedStep, EpisodeState
from services.store.episodes import EpisodeStore
from services.store.records import Numbered

PLACE, UNAVAILABLE = "the archive", errors_pb2.ERROR_REASON_ARCHIVE_UNAVAILABLE


class Episodes:
    """archive: None if there is none. index: of it; is told what is deleted."""

    def __init__(self, store: EpisodeStore, archive: Archive | None, index: ArchiveIndex | None = None) -> None:
        self._store, self._archive, self._index = store, archive, index

    @property
    def kept(self) -> bool:
        """Whether there is an archive."""
        return self._archive is not None

    async def read(self, episode_id: str, step: int | None = None) -> tuple[EpisodeState | None, CommittedStep | None]:
        """Reads the episode and, if `step` is given, that committed step."""
        state, record = await self._store.read(episode_id, step)
        if state or not self._archive:
            return state, record
        found = await self.archived(episode_id)
        if found is None:
            return None, None
        return found[0], next((one for number, one in _numbered(found) if number == step), None)

    async def steps(self, episode_id: str, *, first: int, limit: int) -> tuple[EpisodeState | None, list[Numbered]]:
        """Reads the episode and up to `limit` committed steps from `first` on, oldest first."""
        state, steps = await self._store.steps(episode_id, first=first, limit=limit)
        if state or not self._archive:
            return state, steps
        found = await self.archived(episode_id)
        if found is None:
            return None, []
        return found[0], [one for one in _numbered(found) if one[0] >= first][:limit]

    async def whole(self, episode_id: str) -> tuple[EpisodeState | None, list[Numbered]]:
        """Reads the episode with all its retained steps, oldest first."""
        state, steps = await self._store.whole(episode_id)
        if state or not self._archive:
            return state, steps
        found = await self.archived(episode_id)
        return (found[0], _numbered(found)) if found else (None, [])

    async def archived_page(self, token: str, size: int, *, tenant: str | None) -> tuple[str, list[EpisodeState]]:
        """Some archived episodes and the token of the next page; an empty token begins, and ends.

        tenant: whose; empty: those without tenant; None: all.
        """
        self.check_kept()
        archive = self._archive
        assert archive
        return await reached(lambda: archive.page(token, size, tenant=tenant), PLACE, UNAVAILABLE)

    def check_kept(self) -> None:
        """Raises ARCHIVE_OFF if there is no archive."""
        if not self.kept:
            text = "this server keeps no archive; its operator turns it on with SHELM_ARCHIVE"
            raise failure(errors_pb2.ERROR_REASON_ARCHIVE_OFF, text)

    async def delete_archived(self, episode_id: str) -> bool:
        """Deletes what the archive has of a name; returns whether it had anything."""
        archive = self._archive
        found = bool(archive and await reached(lambda: archive.delete(episode_id), PLACE, UNAVAILABLE))
        if found and self._index:
            self._index.remove(episode_id)
        return found

    async def archived(self, episode_id: str) -> Episode | None:
        """The newest episode of a name that the archive has."""
        archive = self._archive
        return await reached(lambda: archive.read(episode_id), PLACE, UNAVAILABLE) if archive else None


def _numbered(episode: Episode) -> list[Numbered]:
    _, first, steps = episode
    return list(enumerate(steps, first))
