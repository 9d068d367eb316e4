"""What a call can fail with: one class per thing that a caller would do differently.

`str(error)` gives what happened, the server's reason and what to do. `retryable` says whether repeating the identical
call may help; the client has then repeated it already for `retry_for` seconds. Classes are named after the server's reasons,
or after the gRPC code where the server gave none. Whether a call may be repeated, and the advice for a reason that has no
class of its own, are those of errors.proto.
"""
# ruff: noqa: N818  the names are the contract's own words (StepGap, Overloaded), without "Error" after each

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import grpc


class FieldViolation(NamedTuple):
    """One field of a request that was refused."""

    field: str
    """Path of the field, such as `observation.width`."""
    description: str
    """What was expected and what was given."""


class ShelmError(Exception):
    """A call failed. Raised itself only for codes that have no class of their own (INTERNAL, DATA_LOSS, ...)."""

    advice: str = "see the server's log"
    default_code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        field_violations: Sequence[FieldViolation] = (),
        retry_after: float | None = None,
        retryable: bool = False,
        advice: str | None = None,
    ) -> None:
        """Takes the gRPC code, ErrorInfo's reason and metadata, BadRequest's fields, the seconds to wait, and what to do."""
        super().__init__(message)
        if advice is not None:
            self.advice = advice
        self.message = message
        self.code = code or self.default_code
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.field_violations = tuple(field_violations)
        self.retry_after = retry_after
        self.retryable = retryable
        self.attempts = 1

    def __str__(self) -> str:
        """Returns what happened and what to do, in one line."""
        fields = "".join(f"; {field}: {text}" for field, text in self.field_violations if text not in self.message)
        tries = f" after {self.attempts} attempts" if self.attempts > 1 else ""
        return f"{self.message}{fields} [{self.reason or self.code.name}{tries}]; {self.advice}"


class InvalidArgument(ShelmError, ValueError):
    """INVALID_ARGUMENT: a field of the request is wrong; also raised before anything is sent, for a wrong frame."""

    advice = "correct the named field"
    default_code = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(ShelmError):
    """NOT_FOUND without a known reason."""

    advice = "check the name"


class EpisodeNotFound(NotFound):
    """The episode never existed or has expired; it never starts again silently."""

    advice = "`shelm episodes` lists those there are; if it has expired, begin a new one under another episode_id"


class AgentNotFound(NotFound):
    """The server has no agent of that name or digest."""

    advice = "choose one that client.agents() or `shelm agents` lists"


class FrameNotRecorded(NotFound):
    """The server has not recorded the frame of this step, or keeps it no more."""

    advice = "give the frame yourself; only steps that were taken while the server recorded have theirs"


class AlreadyExists(ShelmError):
    """The episode exists with another agent, seed or deterministic flag."""

    advice = "choose another episode_id, or repeat the values that it was created with"


class StepConflict(ShelmError):
    """ABORTED for good: another frame is committed for this step. Nothing changed."""

    advice = (
        "repeat a step only with its own frame; to go on with an episode that already has steps call "
        "client.resume(episode_id), to begin afresh choose a new episode_id"
    )


class CommitConflict(ShelmError):
    """ABORTED by a race between two calls of one episode; repeating it is safe."""

    advice = "call act again with the same frame, and let only one process act in an episode"


class FailedPrecondition(ShelmError):
    """FAILED_PRECONDITION without a known reason."""

    advice = "look at client.get_episode(episode_id)"


class StepGap(FailedPrecondition):
    """The step lies beyond the next one: steps are missing at the server."""

    advice = "call client.resume(episode_id) and go on from there, or begin a new episode"

    @property
    def committed_step(self) -> int | None:
        """The last step that the server has, -1 before the first, None if it did not say."""
        value = self.metadata.get("committed_step")
        return None if value is None else int(value)


class EpisodeEnded(FailedPrecondition):
    """EndEpisode was called; committed steps can be repeated, new ones cannot be taken."""

    advice = "begin a new episode under another episode_id"


class FrameNeeded(FailedPrecondition):
    """The step cannot be explained without its frame, which the server has not recorded."""

    advice = "give the frame that was committed with the step (explain(..., observation=...), --frame FILE.png)"


class RecordingOff(FailedPrecondition):
    """The server records no frames."""

    advice = "turn on recording at the server; frames of steps taken before cannot be had"


class AgentKeepsNoWords(FailedPrecondition):
    """Words are asked for of an episode whose agent is a policy alone, without a memory in words."""

    advice = "read its steps alone: memory(..., without_words=True), shelm memory --without-words"


class AgentMismatch(FailedPrecondition):
    """The episode runs with another agent than the request names."""

    advice = "leave agent empty to keep the episode's own, or begin a new episode"


class ClientClosed(ShelmError):
    """The client was closed; nothing was sent."""

    advice = "make a new client, or make the call inside the client's `with` block; episodes outlive their clients"
    default_code = grpc.StatusCode.CANCELLED


class OtherEventLoop(ShelmError):
    """An AsyncClient is used in another event loop than the one of its first call; nothing was sent."""

    advice = "make the AsyncClient inside the coroutine that asyncio.run runs, one for each event loop"
    default_code = grpc.StatusCode.FAILED_PRECONDITION


class EnvironmentMismatch(ShelmError, ValueError):
    """Agent and environment do not fit together: other frames, other actions. Raised before the first step."""

    advice = (
        "choose an agent that was made for this environment (`shelm agents`), or wrap the environment so that both agree"
    )
    default_code = grpc.StatusCode.FAILED_PRECONDITION


class StepTooOld(ShelmError):
    """OUT_OF_RANGE: the step was committed, but its answer is no longer kept."""

    advice = "call client.resume(episode_id) to go on with the next step"


class Overloaded(ShelmError):
    """RESOURCE_EXHAUSTED: a queue is full, or too many watch."""

    advice = "wait retry_after seconds, send less at once, or raise retry_for"


class Unavailable(ShelmError):
    """UNAVAILABLE, or a CANCELLED that nobody here asked for: the server, or something behind it, is away or stops."""

    advice = "check that the server runs and that the target is right, then call again with the same frame"
    default_code = grpc.StatusCode.UNAVAILABLE


class ProxyError(Unavailable):
    """Something between client and server answered, or cut the call: a proxy, a load balancer, another server."""

    advice = "the client repeats such calls; if it happens often, look into the log and the timeouts of what lies in between"


class TlsError(Unavailable):
    """Client and server cannot agree on TLS: one does not accept the other's certificate, or does not speak TLS."""

    advice = "check tls= (--tls, --tls-ca) and the server's certificate"


class DeadlineExceeded(ShelmError):
    """DEADLINE_EXCEEDED: no answer within `timeout`. The step may have been committed."""

    advice = "call act again with the same frame, or raise timeout"


class Unauthenticated(ShelmError):
    """UNAUTHENTICATED: no token, or one that the server does not know."""

    advice = "give a valid token (Client(token=...), --token or SHELM_TOKEN)"


class PermissionDenied(ShelmError):
    """PERMISSION_DENIED: the token is valid, but not for this."""

    advice = "use a token that has this right"
