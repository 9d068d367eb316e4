"""The origin of a branch <-> messages, and its stored form; the request of BranchEpisode.

Failure policy: INVALID_ARGUMENT with the field of a request; ValueError, or DecodeError, for bytes that are no stored form.
"""

from dataclasses import dataclass

from shelm.v1 import agent_pb2

from services.protocol.edits import edit_messages, read_edits
from services.protocol.fields import check_seed, check_step
from services.protocol.names import caller_name, full_name, tenant_of
from services.protocol.stubs import episode_pb2
from services.protocol.values import Branch, Edit
from services.runtime.errors import invalid


@dataclass(frozen=True, slots=True)
class BranchCall:
    """The request of one BranchEpisode. seed, deterministic: None for the source's."""

    episode_id: str
    source: str
    step: int
    edits: tuple[Edit, ...]
    seed: int | None
    deterministic: bool | None


def parse_branch(request: agent_pb2.BranchEpisodeRequest) -> BranchCall:
    """The request of one BranchEpisode."""
    name, source = full_name(request.episode_id), full_name(request.source_episode_id, "source_episode_id")
    if source == name:
        raise invalid("episode_id", "expected another name than the source's, got the same")
    if tenant_of(source) != tenant_of(name):
        raise invalid("episode_id", "expected a name of the source's tenant, got one of another")
    return BranchCall(
        name,
        source,
        check_step(request.step),
        read_edits(request.edits, "edits"),
        check_seed(request.seed) if request.HasField("seed") else None,
        request.deterministic if request.HasField("deterministic") else None,
    )


def branch_message(branch: Branch) -> agent_pb2.Branch:
    """The message of an origin, with the source as the caller writes it."""
    return _message(branch, caller_name(branch.source))


def _message(branch: Branch, source: str) -> agent_pb2.Branch:
    return agent_pb2.Branch(
        source_episode_id=source,
        source_incarnation=branch.source_incarnation,
        step=branch.step,
        edits=edit_messages(branch.edits),
    )


def branch_record(branch: Branch) -> episode_pb2.BranchRecord:
    """The message of its stored form."""
    counts = [episode_pb2.WordCount(step=step, words=words) for step, words in branch.word_counts]
    message = _message(branch, branch.source)
    return episode_pb2.BranchRecord(branch=message, tokens_per_step=branch.tokens_per_step, word_counts=counts)


def read_branch(record: episode_pb2.BranchRecord) -> Branch:
    """The reverse of `branch_record`."""
    branch = record.branch
    if not branch.source_episode_id or not record.tokens_per_step:
        raise ValueError("a branch without source or words")
    return Branch(
        source=branch.source_episode_id,
        source_incarnation=branch.source_incarnation,
        step=branch.step,
        edits=read_edits(branch.edits, "edits"),
        tokens_per_step=record.tokens_per_step,
        word_counts=tuple((one.step, one.words) for one in record.word_counts),
    )


def stored_branch(branch: Branch) -> bytes:
    """The stored form: a serialised `shelm.internal.v1.BranchRecord`."""
    return branch_record(branch).SerializeToString()


def read_stored_branch(data: bytes) -> Branch:
    """The reverse of `stored_branch`."""
    return read_branch(episode_pb2.BranchRecord.FromString(data))
