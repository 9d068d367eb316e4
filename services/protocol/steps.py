"""Words and committed steps <-> messages, and the stored form of a step."""

from collections.abc import Iterable

from google.protobuf.timestamp_pb2 import Timestamp
from shelm.v1 import agent_pb2

from agent.vocabulary import Word
from services.protocol.actions import action_message, read_action
from services.protocol.stubs import episode_pb2
from services.protocol.values import CommittedStep


def token_messages(words: Iterable[Word]) -> list[agent_pb2.Token]:
    """Words as messages, in the same order."""
    return [agent_pb2.Token(text=word.text, similarity=word.similarity, id=word.row) for word in words]


def read_tokens(tokens: Iterable[agent_pb2.Token]) -> tuple[Word, ...]:
    """The reverse of `token_messages`."""
    return tuple(Word(token.id, token.text, token.similarity) for token in tokens)


def timestamp(micros: int) -> Timestamp:
    """Microseconds since 1970 as a message."""
    stamp = Timestamp()
    stamp.FromMicroseconds(micros)
    return stamp


def step_message(step: CommittedStep) -> episode_pb2.CommittedStep:
    """A committed step as a message."""
    return episode_pb2.CommittedStep(
        tokens=token_messages(step.words),
        action=action_message(step.action),
        value=step.value,
        log_prob=step.log_prob,
        frame_fingerprint=step.frame_fingerprint,
        history_digest=step.history_digest,
        time=timestamp(step.time_us),
    )


def read_step(message: episode_pb2.CommittedStep) -> CommittedStep:
    """The reverse of `step_message`."""
    return CommittedStep(
        words=read_tokens(message.tokens),
        action=read_action(message.action),
        value=message.value,
        log_prob=message.log_prob,
        frame_fingerprint=message.frame_fingerprint,
        history_digest=message.history_digest,
        time_us=message.time.ToMicroseconds(),
    )


def stored_step(step: CommittedStep) -> bytes:
    """The stored form of a step: a serialised `shelm.internal.v1.CommittedStep`."""
    return step_message(step).SerializeToString()


def read_stored_step(data: bytes) -> CommittedStep:
    """The reverse of `stored_step`; DecodeError if the bytes are no such message."""
    return read_step(episode_pb2.CommittedStep.FromString(data))
