"""Recorded frames of committed steps: what GetFrame returns and ExplainStep looks at.

Contract: a recorded frame counts only if it is the one that the step was committed with; names may be used again after
an episode has expired. Failure policy: no such frame is FRAME_NOT_RECORDED, no recording at all RECORDING_OFF.
"""

from shelm.v1 import agent_pb2

from services.domain.frame import frame_fingerprint
from services.policy import refusals
from services.policy.episodes import EpisodeStore, Step
from services.policy.recorder import Recorder
from services.policy.recordings import Recorded
from services.policy.validation import check_episode_id, check_step


class Frames:
    """Reads what `recorder` has recorded; None: recording is off."""

    def __init__(self, store: EpisodeStore, recorder: Recorder | None) -> None:
        self._store, self._recorder = store, recorder

    async def of_step(self, episode_id: str, step: int, record: Step) -> Recorded | None:
        """The frame of a committed step, if it was recorded."""
        recorded = await self._recorder.read(episode_id, step) if self._recorder else None
        if recorded and frame_fingerprint(recorded.frame) == record.frame_fingerprint:
            return recorded
        return None

    async def get(self, request: agent_pb2.GetFrameRequest) -> agent_pb2.GetFrameResponse:
        """See agent.proto. A recording outlives its episode; the frame of an expired one cannot be compared any more."""
        episode_id, step = check_episode_id(request.episode_id), check_step(request.step)
        if not self._recorder:
            raise refusals.recording_off()
        state, record = await self._store.read(episode_id, step)
        if record:
            recorded = await self.of_step(episode_id, step, record)
        else:
            uncommitted = state is not None and step > state.committed
            recorded = None if uncommitted else await self._recorder.read(episode_id, step)
        if recorded is None:
            raise refusals.frame_not_recorded(episode_id, step)
        height, width, _ = recorded.frame.shape
        image = agent_pb2.Image(encoding=agent_pb2.ENCODING_PNG, height=height, width=width, data=recorded.png)
        return agent_pb2.GetFrameResponse(frame=image)
