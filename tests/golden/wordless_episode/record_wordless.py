"""Records an episode of an agent without words as Redis holds it, and what the server answers: `record_wordless.py`.

`bundle` is a policy with a recurrent state of 8 numbers, made by `make_bundle`; `episode.json` was recorded with it when
such agents came. The bundle is part of the record: it must load and act the same in every later version. Run this only to
record another one, in another folder, whenever what a bundle or an episode holds changes its form.
"""

import base64
import json
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from google.protobuf.json_format import MessageToDict
from support.deployment import Deployment, Standalone
from support.frames import collect_frames
from torch import Tensor, nn

from services.store.keys import episode_key, history_key
from training.bundle_policy import main as bundle_policy

HERE = Path(__file__).parent
NAME, SEED, STORED, CONTINUED = "golden:wordless", 7, 12, 8
SIDE, ACTIONS, STATE = 56, 7, 8


class Policy(nn.Module):
    """A frame's mean colours in 49 squares and the state give logits and the next state."""

    def __init__(self) -> None:
        super().__init__()
        self.take, self.give = nn.Linear(147 + STATE, STATE), nn.Linear(STATE, ACTIONS)

    def forward(self, frame: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        squares = nn.functional.avg_pool2d(frame.permute(0, 3, 1, 2).float() / 255, 8).flatten(1)
        after = torch.tanh(3 * self.take(torch.cat([squares, state], 1)))
        return 3 * self.give(after), after


def make_bundle(out: Path) -> None:
    """Writes the bundle."""
    torch.manual_seed(0)
    inputs = (torch.zeros(2, SIDE, SIDE, 3, dtype=torch.uint8), torch.zeros(2, STATE))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "policy.onnx"
        torch.onnx.export(
            Policy().eval(),
            inputs,
            path,
            input_names=["frame", "state"],
            output_names=["parameters", "next"],
            dynamic_shapes=({0: "rows"}, {0: "rows"}),
            external_data=False,
        )
        options = ["--actions", json.dumps({"discrete": ACTIONS}), "--state", "state=next", "--name", "golden-wordless"]
        bundle_policy(["--onnx", str(path), "--out", str(out), *options])


def main() -> None:
    """Makes the bundle if there is none, plays, and writes the episode."""
    if not (HERE / "bundle").exists():
        make_bundle(HERE / "bundle")
    frames = collect_frames(STORED + CONTINUED)
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as running:
        running.gateway.create(NAME, seed=SEED)
        answers = [running.gateway.act(NAME, step, frames[step]) for step in range(STORED)]
        with running.redis() as client:
            episode, steps = client.hgetall(episode_key(NAME)), client.xrange(history_key(NAME))
        answers += [running.gateway.act(NAME, step, frames[step]) for step in range(STORED, STORED + CONTINUED)]
    content = {
        "episode": {name.decode(): text(value) for name, value in episode.items()},
        "stream": [[entry.decode(), {name.decode(): text(v) for name, v in fields.items()}] for entry, fields in steps],
        "answers": [answered(one) for one in answers],
    }
    (HERE / "episode.json").write_text(json.dumps(content, indent=1) + "\n")


def served(folder: Path) -> AbstractContextManager[Deployment]:
    """A server that has the bundle alone."""
    return Standalone(folder, {"SHELM_AGENTS": str(HERE / "bundle")}).running()


def text(value: bytes) -> str:
    """Bytes in a JSON file."""
    return base64.b64encode(value).decode()


def answered(answer: Any) -> dict[str, Any]:
    """What an answer says of the step alone."""
    message: dict[str, Any] = MessageToDict(answer, preserving_proto_field_name=True)
    return {name: message[name] for name in ("action", "value", "log_prob") if name in message}


if __name__ == "__main__":
    main()
