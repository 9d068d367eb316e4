"""An episode as a recording for the Rerun viewer, with the extra `rerun`.

Timelines `step` and `time`; entities `frame` (where recorded), `value`, `action`, `reward` (the total, at the last step) and
`words/WORD`, the similarity of each word at the steps that have it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shelm.client import Client
from shelm.export.recorded import Recorded, complete, frames_of
from shelm.texts import action_text


def write_rrd(client: Client, episode: Recorded, path: Path) -> None:
    """Writes an .rrd file; steps without a recorded frame have none there."""
    try:
        import rerun
    except ImportError:
        raise ModuleNotFoundError('rerun-sdk is missing; pip install "shelm-client[rerun]"') from None
    with complete(path) as part, rerun.RecordingStream("shelm", recording_id=episode.info.episode_id) as stream:
        stream.save(part)
        stream.send_recording_name(f"{episode.info.episode_id} {episode.info.agent}")
        for step, frame in zip(episode.steps, frames_of(client, episode)):
            stream.set_time("step", sequence=step.step)
            if step.time is not None:
                stream.set_time("time", timestamp=step.time)
            logged: dict[str, Any] = {f"words/{token.text}": rerun.Scalars(token.similarity) for token in step.tokens}
            logged["action"] = rerun.TextLog(action_text(step.action, episode.space))
            logged["value"] = rerun.Scalars(step.value)
            if frame is not None:
                logged["frame"] = rerun.Image(frame)
            for name, what in logged.items():
                stream.log(name.split("/", 1), what)
        if episode.info.total_reward is not None:
            stream.log("reward", rerun.Scalars(episode.info.total_reward))
        stream.flush()
        stream.disconnect()
