"""A baseline that `training.ppo` has trained -> the manifest's parts about it, and its ONNX file if it is one.

Without memory (cnn) and with an LSTM (lstm) the policy is an ONNX file. HELM and HELMv2 run this repository's own code
(training.policies.helm), which a server must allow; their settings, weights and CLIP model are copied into the bundle.

Failure policy: ValueError for a run of SHELM, which has a bundle with words (`training.bundle`), and for a HELM whose
language model is in a folder; FileNotFoundError names what is missing.
"""

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from agent.memory.described import describe
from agent.policy.actor_critic import ActorCritic
from training.agents import load_actor_critic_of
from training.policies.helm import CLIP, RUN, STATISTICS, WEIGHTS, HelmPolicy
from training.policies.sb3 import Recurrent, export
from training.recurrent import load_policy

PACKAGE = "shelm-serving"


def run_policy(run: Path, out: Path, *, action_names: list[str]) -> tuple[dict[str, Any], bytes | None]:
    """Returns the parts of the manifest, and the ONNX file or None. out: folder of the bundle, for files that it needs."""
    settings = json.loads((run / RUN).read_text())
    method, (height, width) = settings["method"], settings["frame"]
    if method == "shelm":
        raise ValueError(f"--run {run}: expected a baseline, got SHELM, whose words can be read: use training.bundle")
    model, part = None, dict[str, Any]()
    if method in ("cnn", "lstm"):
        graph = _graph(settings, load_file(run / WEIGHTS))
        model, part = export(graph, (height, width, 3)), {"kind": "onnx", "file": "policy.onnx", "value": "value"}
        if graph.state_size:
            part |= {"state": [{"input": "state", "output": "next_state"}], "state_bytes": 4 * graph.state_size}
    else:
        part = _helm(settings, run, out)
    return {
        "observation": {"height": height, "width": width},
        "actions": settings["actions"] | ({"names": action_names} if action_names else {}),
        "policy": part,
        "provenance": {
            "source": "training.ppo",
            **{key: settings[key] for key in ("method", "env", "seed", "steps", "commit")},
        },
    }, model


def _graph(settings: dict[str, Any], weights: dict[str, Tensor]) -> Any:
    if settings["method"] == "cnn":
        return _Alone(load_actor_critic_of(settings, weights, memory=1))
    policy: Any = load_policy(settings, weights)
    policy.features_extractor = policy.features_extractor.cnn  # without the search for frames that are equal
    return Recurrent(policy, channels_first=True)


class _Alone(nn.Module):
    """Frames uint8 (rows, height, width, 3) -> parameters and value of an actor-critic whose memory is always 0."""

    state_size = 0

    def __init__(self, policy: ActorCritic) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        features = self.policy.encode(frame.permute(0, 3, 1, 2))
        parameters, values = self.policy.decide(features, torch.zeros_like(features[:, :1]))
        return parameters, values[:, None]


def _helm(settings: dict[str, Any], run: Path, out: Path) -> dict[str, Any]:
    """Copies what the policy needs; returns the manifest's part."""
    source = settings["language_model"]
    if source.startswith("file:"):
        raise ValueError(f"--run {run}: language_model: expected one of a package or the hub, got {source}")
    out.mkdir(parents=True, exist_ok=True)
    (out / STATISTICS).unlink(missing_ok=True)
    for name in (WEIGHTS, STATISTICS) if settings["method"] == "helmv2" else (WEIGHTS,):
        shutil.copy(run / name, out / name)
    shutil.rmtree(out / CLIP, ignore_errors=True)
    if settings["method"] == "helmv2":
        shutil.copytree(settings["clip"].removeprefix("file:"), out / CLIP)
    kept = {key: value for key, value in settings.items() if key not in ("out", "resume", "clip", "vocabulary")}
    (out / RUN).write_text(json.dumps(kept | {"language_model_sha256": describe(source).sha256}, indent=2) + "\n")
    return {
        **{"kind": "entry_point", "entry_point": f"{HelmPolicy.__module__}:{HelmPolicy.__name__}"},
        **{"package": PACKAGE, "version": version(PACKAGE), "state_bytes": HelmPolicy(out).state_bytes},
    }
