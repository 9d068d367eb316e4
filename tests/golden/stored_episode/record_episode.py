"""Records an episode as Redis holds it, and what the server answers about it: `record_episode.py TARGET REDIS_URL OUT`.

`first.json` was recorded with the code at commit 4c542ab, before the stored messages had a package of their own,
`incarnation.json` when episodes got an incarnation. Record another one (under another name) whenever what is stored
changes its form: tests/contract/test_stored_episode.py plays every file of this folder, so an episode of any earlier version
is continued, read and explained by the code of today.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import grpc
import redis
from google.protobuf.json_format import MessageToDict
from shelm.v1 import agent_pb2, agent_pb2_grpc
from support.frames import collect_frames, raw

NAME = "golden:stored"
SEED, STORED, CONTINUED, EXPLAINED = 7, 40, 20, 30  # steps in the file, steps after it, the step that is explained


def text(value: bytes) -> str:
    """Bytes in a JSON file."""
    return base64.b64encode(value).decode()


def main(target: str, redis_url: str, out: Path) -> None:
    """Plays on a running server and writes the file."""
    stub: Any = agent_pb2_grpc.AgentServiceStub(grpc.insecure_channel(target))
    frames = collect_frames(STORED + CONTINUED)

    def act(step: int) -> Any:
        answer = stub.Act(agent_pb2.ActRequest(episode_id=NAME, step=step, observation=raw(frames[step])), timeout=60)
        return MessageToDict(answer, preserving_proto_field_name=True)

    stub.CreateEpisode(agent_pb2.CreateEpisodeRequest(episode_id=NAME, seed=SEED), timeout=60)
    answers = [act(step) for step in range(STORED)]
    with redis.Redis.from_url(redis_url) as client:
        episode = client.hgetall(f"shelm:{{{NAME}}}:episode")
        steps = client.xrange(f"shelm:{{{NAME}}}:history")
    memory = stub.GetMemory(agent_pb2.GetMemoryRequest(episode_id=NAME, limit=1000), timeout=60)
    explained = stub.ExplainStep(
        agent_pb2.ExplainStepRequest(episode_id=NAME, step=EXPLAINED, observation=raw(frames[EXPLAINED])), timeout=300
    )
    answers += [act(step) for step in range(STORED, STORED + CONTINUED)]
    for answer in answers:
        for volatile in ("timing", "committed_step"):
            answer.pop(volatile, None)
        answer["memory"].pop("rebuilt", None)
    content = {
        "episode": {name.decode(): text(value) for name, value in episode.items()},
        "stream": [[entry.decode(), {name.decode(): text(v) for name, v in fields.items()}] for entry, fields in steps],
        "stored": STORED,
        "answers": answers,
        "memory": MessageToDict(memory, preserving_proto_field_name=True),
        "explained": EXPLAINED,
        "explanation": MessageToDict(explained, preserving_proto_field_name=True),
    }
    out.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
