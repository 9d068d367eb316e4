"""Recorded frames of committed steps: what GetFrame returns and ExplainStep looks at.

Contract: a recorded frame is used only if its fingerprint is that of the committed step, because the name of an expired
episode may be used again. Failure policy: no such frame is FRAME_NOT_RECORDED, no recording at all RECORDING_OFF.
"""

from agent.frame import frame_fingerprint
from services.policy import errors
from services.policy.archive.reader import Episodes
from services.policy.recording.recorder import Recorder
from services.policy.recording.recordings import Recorded
from services.protocol.values import CommittedStep, RecordedFrame


class Frames:
    """Reads what `recorder` has recorded; None: recording is off."""

    def __init__(self, episodes: Episodes, recorder: Recorder | None) -> None:
        self._episodes, self._recorder = episodes, recorder

    async def of_step(self, episode_id: str, step: int, record: CommittedStep) -> Recorded | None:
        """The frame of a committed step, if it was recorded."""
        recorded = await self._recorder.read(episode_id, step) if self._recorder else None
        if recorded and frame_fingerprint(recorded.frame) == record.frame_fingerprint:
            return recorded
        return None

    async def get(self, episode_id: str, step: int) -> RecordedFrame:
        """Returns the recorded frame.

        After the episode has expired there is nothing to compare it with, so it is returned as it is.
        """
        if not self._recorder:
            raise errors.recording_off()
        state, record = await self._episodes.read(episode_id, step)
        if record:
            recorded = await self.of_step(episode_id, step, record)
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
