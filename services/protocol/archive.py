"""A whole episode <-> a file of the archive: a gzipped `shelm.internal.v1.ArchivedEpisode`; and what searches know of it."""

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from google.protobuf.message import DecodeError

from agent.history import empty_history
from services.protocol.agent_api import episode_message
from services.protocol.branches import branch_record, read_branch
from services.protocol.names import split_name
from services.protocol.steps import read_step, step_message
from services.protocol.stubs import episode_pb2
from services.protocol.values import CommittedStep, EpisodeState


def pack_episode(state: EpisodeState, first: int, steps: Sequence[CommittedStep]) -> bytes:
    """The file. first: number of the first of `steps`, which follow one another. Equal episodes give equal bytes."""
    episode = episode_message(replace(state, ttl_ms=0, archived=True))
    message = episode_pb2.ArchivedEpisode(
        episode=episode,
        first_step=first,
        steps=[step_message(one) for one in steps],
        branch=branch_record(state.branch) if state.branch else None,
    )
    return gzip.compress(message.SerializeToString(deterministic=True), compresslevel=6, mtime=0)


BETWEEN = "\x1f"  # which no word holds


@dataclass(frozen=True, slots=True)
class Indexed:
    """What searches know of an archived episode. path: of its file. words: of each step, from the `first` on."""

    path: str
    name: str
    agent: str
    digest: str
    created_us: int
    updated_us: int
    reward: float | None
    first: int
    words: Sequence[Sequence[str]]

    @classmethod
    def of(cls, path: str, state: EpisodeState, first: int, steps: Sequence[CommittedStep]) -> "Indexed":
        """Of an episode that has just been archived."""
        words = [[word.text for word in step.words] for step in steps]
        times = (state.created_us, state.updated_us)
        return cls(path, state.episode_id, state.agent, state.agent_digest, *times, state.total_reward, first, words)

    @classmethod
    def unpack(cls, path: str, data: bytes) -> "Indexed":
        """Of a file; ValueError if the bytes are no such file. Cheaper than `unpack_episode`."""
        message = _unpacked(data)
        episode, words = message.episode, [[token.text for token in step.tokens] for step in message.steps]
        times = (episode.create_time.ToMicroseconds(), episode.update_time.ToMicroseconds())
        reward = episode.total_reward if episode.HasField("total_reward") else None
        return cls(path, episode.episode_id, episode.agent, episode.agent_digest, *times, reward, message.first_step, words)

    def row(self) -> dict[str, object]:
        """By column: name is the full name, episode and tenant its parts."""
        episode, tenant = split_name(self.name)
        return {
            **{"path": self.path, "name": self.name, "episode": episode, "tenant": tenant, "agent": self.agent},
            **{"digest": self.digest, "created": self.created_us, "updated": self.updated_us, "reward": self.reward},
            **{"first": self.first, "words": self.words, "seen": self.seen(), "pairs": self.pairs()},
        }

    def seen(self) -> list[str]:
        """The words that any step saw, each once."""
        return sorted({word for words in self.words for word in words})

    def pairs(self) -> list[str]:
        """The words of any step with those of the next, each pair once, with a BETWEEN between them."""
        steps = pairwise(self.words)
        return sorted({f"{word}{BETWEEN}{after}" for words, next_words in steps for word in words for after in next_words})


def _unpacked(data: bytes) -> episode_pb2.ArchivedEpisode:
    try:
        message = episode_pb2.ArchivedEpisode.FromString(gzip.decompress(data))
    except (OSError, EOFError, zlib.error, DecodeError) as error:
        raise ValueError(f"no archived episode: {error}") from None
    if not message.episode.episode_id:
        raise ValueError("no archived episode: it has no name")
    return message


def unpack_episode(data: bytes) -> tuple[EpisodeState, int, list[CommittedStep]]:
    """The reverse: the episode, the number of its first step, its steps; ValueError if the bytes are no such file."""
    message = _unpacked(data)
    episode, steps = message.episode, [read_step(one) for one in message.steps]
    state = EpisodeState(
        episode_id=episode.episode_id,
        agent=episode.agent,
        agent_digest=episode.agent_digest,
        seed=episode.seed,
        deterministic=episode.deterministic,
        committed=episode.committed_step if episode.HasField("committed_step") else -1,
        history_digest=steps[-1].history_digest if steps else empty_history(episode.agent_digest),
        length=episode.memory_length,
        ended=episode.ended,
        total_reward=episode.total_reward if episode.HasField("total_reward") else None,
        created_us=episode.create_time.ToMicroseconds(),
        updated_us=episode.update_time.ToMicroseconds(),
        incarnation=episode.incarnation,
        archived=True,
        branch=read_branch(message.branch) if message.HasField("branch") else None,
    )
    return state, message.first_step, steps
