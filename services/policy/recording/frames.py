"""Recorded frames of committed steps: what GetFrame returns and ExplainStep looks at.

Contract: a recorded frame is used only if its fingerprint is that of the committed step, because the name of an expired
episode may be used again. Failure policy: no such frame is FRAME_NOT_RECORDED, no recording at all RECORDING_OFF.
"""

from agent.frame import frame_fingerprint
from services.policy import errors
from services.policy.archive.reader import Episodes
from services.policy.recording.recorder import Recorder
from services.policy.recording.recordings import Recorded
from services.protocol.values import CommittedStep, EpisodeState, RecordedFrame

MOST_SOURCES = 64  # branches of branches in which a frame is looked for


class Frames:
    """Reads what `recorder` has recorded; None: recording is off."""

    def __init__(self, episodes: Episodes, recorder: Recorder | None) -> None:
        self._episodes, self._recorder = episodes, recorder

    async def of_step(self, state: EpisodeState, step: int, record: CommittedStep) -> Recorded | None:
        """The frame of a committed step, if it was recorded; of a step that a branch has from its source, the source's."""
        name, branch = state.episode_id, state.branch
        for _ in range(MOST_SOURCES if self._recorder else 0):
            assert self._recorder
            recorded = await self._recorder.read(name, step)
            if recorded and frame_fingerprint(recorded.frame) == record.frame_fingerprint:
                return recorded
            if branch is None or step >= branch.step:
                break
            name = branch.source
            source, _ = await self._episodes.read(name)
            branch = source.branch if source else None
        return None

    async def get(self, episode_id: str, step: int) -> RecordedFrame:
        """Returns the recorded frame.

        After the episode has expired there is nothing to compare it with, so it is returned as it is.
        """
        if not self._recorder:
            raise errors.recording_off()
        state, record = await self._episodes.read(episode_id, step)
        if state and record:
            recorded = await self.of_step(state, step, record)
        else:
            uncommitted = state is not None and step > state.committed
            recorded = None if uncommitted else await self._recorder.read(episode_id, step)
        if recorded is None:
            raise errors.frame_not_recorded(episode_id, step)
        height, width, _ = recorded.frame.shape
        return RecordedFrame(height, width, recorded.png)

    async def delete(self, episode_id: str) -> bool:
        """Deletes the frames of an episode; returns whether there were any."""
        return bool(self._recorder and await self._recorder.delete(episode_id))
