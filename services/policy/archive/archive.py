"""`Archive`: one compact file per ended episode, SHARD/EPISODE/CREATED.gz below the place that SHELM_ARCHIVE names.

Contract: a tenant's are below @TENANT there. SHARD is a hash of the name, so that no folder grows large; CREATED is the time
in microseconds, so that episodes of one name that lived one after the other all stay, of which the newest is read. Writing
an episode again replaces its file. Blocking: for threads.

Failure policy: as `services.policy.places`; a file that is no whole episode is logged, and treated as if it were not there.
"""

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence

from services.policy.places import Place, episode_of, folder_of
from services.protocol.archive import Indexed, pack_episode, unpack_episode
from services.protocol.names import split_name
from services.protocol.values import CommittedStep, EpisodeState
from services.runtime.tokens import AT

log = logging.getLogger(__name__)
Episode = tuple[EpisodeState, int, list[CommittedStep]]  # the number of its first step, its steps
_SHARD, _FILE = re.compile(r"[0-9a-f]{3}"), re.compile(r"\d+\.gz")
_PATH = re.compile(rf"(?:{AT}[^/]+/)?{_SHARD.pattern}/[^/]+/{_FILE.pattern}")


class Archive:
    """The archive at one place; see `services.policy.places.check_place`."""

    def __init__(self, place: str) -> None:
        self._place = Place(place)

    def write(self, state: EpisodeState, first: int, steps: Sequence[CommittedStep]) -> None:
        """Archives an episode. first: number of the first of `steps`, which follow one another."""
        self._place.write(path_of(state), pack_episode(state, first, steps))

    def read(self, episode_id: str) -> Episode | None:
        """The newest episode of a name."""
        for name in reversed(self._files(episode_id)):
            if episode := self._unpacked(f"{_folder(episode_id)}/{name}"):
                return episode
        return None

    def remove(self, state: EpisodeState) -> None:
        """Deletes this episode."""
        self._place.remove(path_of(state))

    def delete(self, episode_id: str) -> int:
        """Deletes all episodes of a name; returns how many."""
        return sum(self._place.remove(f"{_folder(episode_id)}/{name}") for name in self._files(episode_id))

    def page(self, token: str, size: int, *, tenant: str | None = None) -> tuple[str, list[EpisodeState]]:
        """Some episodes, the newest of each name, and the token of the next page. An empty token begins, and ends.

        tenant: whose; empty: those without tenant; None: all.
        """
        found: list[EpisodeState] = []
        for place in self._places(tenant, after=token):
            if episode := self.read(_name(place)):
                found.append(episode[0])
            if len(found) == size:
                return place, found
        return "", found

    def paths(self) -> list[str]:
        """Paths of all episodes."""
        return [path for path in self._place.paths() if _PATH.fullmatch(path)]

    def indexed(self, path: str) -> Indexed | None:
        """What searches know of the episode of a path; None if it is not there; ValueError if it is no whole episode."""
        data = self._place.read(path)
        return None if data is None else Indexed.unpack(path, data)

    def _places(self, tenant: str | None, after: str) -> Iterator[str]:
        """[@TENANT/]SHARD/EPISODE of all names after the one of a token, in a fixed order."""
        top = _top(tenant)
        for shard in self._place.names(top):
            place = f"{top}{shard}"
            if _SHARD.fullmatch(shard) and place >= after[: len(place)]:
                yield from (one for name in self._place.names(place) if (one := f"{place}/{name}") > after)
            elif tenant is None and shard.startswith(AT) and place >= after[: len(place)]:
                yield from self._places(shard.removeprefix(AT), after)

    def _files(self, episode_id: str) -> list[str]:
        """The files of a name, the oldest first."""
        found = [name for name in self._place.names(_folder(episode_id)) if _FILE.fullmatch(name)]
        return sorted(found, key=lambda name: int(name.removesuffix(".gz")))

    def _unpacked(self, path: str) -> Episode | None:
        data = self._place.read(path)
        if data is None:
            return None
        try:
            return unpack_episode(data)
        except ValueError as error:
            log.error("%s of the archive cannot be read: %s", path, error)
            return None


def _folder(episode_id: str) -> str:
    name, tenant = split_name(episode_id)
    shard = hashlib.blake2b(name.encode(), digest_size=2).hexdigest()[:3]
    return f"{_top(tenant)}{shard}/{folder_of(name)}"


def _top(tenant: str | None) -> str:
    """Where the shards of a tenant are."""
    return f"{AT}{tenant}/" if tenant else ""


def _name(place: str) -> str:
    """The reverse of `_folder`."""
    *tenant, _, folder = place.split("/")
    return episode_of(folder) + "".join(tenant)


def path_of(state: EpisodeState) -> str:
    """Where the archive has an episode."""
    return f"{_folder(state.episode_id)}/{state.created_us}.gz"
