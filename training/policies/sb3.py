"""An agent of stable-baselines3 or sb3-contrib -> an ONNX file and the manifest's parts about it.

Contract: the file computes what `model.predict` does, preprocessing included: the deterministic action is the same, a drawn
one has the same distribution. Outputs are `parameters`, a row of agent.policy.heads, and `value`; with an LSTM also `state`.
PPO and A2C: logits, or means and log standard deviations. DQN: the logarithms of its epsilon-greedy choice's
probabilities, and the largest Q as the value. RecurrentPPO: hidden and cell of actor and critic are one state.

Failure policy: ValueError with what was expected and what the zip has: another algorithm, gSDE, a space that is no image.
"""

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor, nn

from training.actions import action_space_of

RECURRENT = "sb3_contrib.common.recurrent.policies"
LEAST_PROBABILITY = 1e-30


def sb3_policy(
    path: Path, algorithm: str | None, *, stack: dict[str, Any], action_names: list[str]
) -> tuple[dict[str, Any], bytes]:
    """Returns the parts of the manifest, and the ONNX file. algorithm: None to read it from the zip."""
    name = algorithm or _algorithm(path)
    model = _classes()[name].load(path, device="cpu")
    observation, channels_first = _observation(model.observation_space, stack)
    policy = model.policy.eval()
    if getattr(policy, "use_sde", False):
        raise ValueError(f"{path}: expected actions drawn independently of the state, the agent uses gSDE (use_sde)")
    graph = _graph(name, policy, float(getattr(model, "exploration_rate", 0.0)), channels_first=channels_first)
    actions = action_space_of(model.action_space).model_dump(by_alias=True, exclude_defaults=True)
    part: dict[str, Any] = {"kind": "onnx", "file": "policy.onnx", "value": "value"}
    if graph.state_size:
        part |= {"state": [{"input": "state", "output": "next_state"}], "state_bytes": 4 * graph.state_size}
    shape = (observation["height"], observation["width"], observation["channels"] * observation["stack"])
    return {
        "observation": observation,
        "actions": actions | ({"names": action_names} if action_names else {}),
        "policy": part,
        "provenance": {"source": "stable-baselines3", "algorithm": name, "file": path.name, **_versions(path)},
    }, export(graph, shape)


def _classes() -> dict[str, Any]:
    from sb3_contrib import RecurrentPPO
    from stable_baselines3 import A2C, DQN, PPO

    return {"PPO": PPO, "A2C": A2C, "DQN": DQN, "RecurrentPPO": RecurrentPPO}


def _algorithm(path: Path) -> str:
    """What the zip says without being unpickled."""
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("data"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ValueError(f"{path}: expected a zip that stable-baselines3 saved: {error}") from None
    module = str(data.get("policy_class", {}).get("__module__", ""))
    if module == RECURRENT:
        return "RecurrentPPO"
    if module == "stable_baselines3.common.policies":
        return "PPO" if "clip_range" in data else "A2C"
    if module == "stable_baselines3.dqn.policies":
        return "DQN"
    raise ValueError(
        f"{path}: expected an agent of PPO, A2C, DQN or RecurrentPPO with a policy of the library, its policy is of "
        f"{module or 'no module'}; --algorithm names it if it is one"
    )


def _versions(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        if "_stable_baselines3_version" not in archive.namelist():
            return {}
        return {"stable_baselines3": archive.read("_stable_baselines3_version").decode().strip()}


def _observation(space: spaces.Space[Any], stack: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The manifest's part, and whether the policy takes channels first."""
    from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first

    if not isinstance(space, spaces.Box) or not is_image_space(space):
        raise ValueError(f"observation space: expected an image, a Box of uint8 (height, width, 1 or 3), got {space}")
    first = is_image_space_channels_first(space)
    channels, height, width = space.shape if first else (space.shape[2], *space.shape[:2])
    one, rest = divmod(int(channels), stack["stack"])
    if rest or one not in (1, 3):
        raise ValueError(
            f"observation space: expected 1 or 3 channels in each of {stack['stack']} frames (--frame-stack), "
            f"got {channels} channels"
        )
    return {"height": int(height), "width": int(width), "channels": one, **stack}, first


class _Graph(nn.Module):
    """What is exported: frames uint8 (rows, height, width, channels) and state -> parameters, value and next state."""

    state_size = 0

    def __init__(self, policy: Any, *, channels_first: bool) -> None:
        super().__init__()
        self.policy, self.channels_first = policy, channels_first
        self.scale = 255 if policy.normalize_images else 1

    def seen(self, frame: Tensor) -> Tensor:
        """What the policy's own preprocessing makes of images; that asks its spaces, which cannot be exported."""
        return (frame.permute(0, 3, 1, 2) if self.channels_first else frame).float() / self.scale

    def features(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        """For the actor and for the critic."""
        seen = self.seen(frame)
        if self.policy.share_features_extractor:
            shared: Tensor = self.policy.features_extractor(seen)
            return shared, shared
        return self.policy.pi_features_extractor(seen), self.policy.vf_features_extractor(seen)

    def row(self, latent: Tensor) -> Tensor:
        """A row of agent.policy.heads."""
        outputs: Tensor = self.policy.action_net(latent)
        if isinstance(self.policy.action_space, spaces.Box):
            return torch.cat([outputs, self.policy.log_std.expand(len(outputs), -1)], dim=1)
        return outputs


class _ActorCritic(_Graph):
    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        (actor, critic), heads = self.features(frame), self.policy.mlp_extractor
        return self.row(heads.forward_actor(actor)), self.policy.value_net(heads.forward_critic(critic))


class _Q(_Graph):
    def __init__(self, policy: Any, exploration: float, *, channels_first: bool) -> None:
        super().__init__(policy, channels_first=channels_first)
        self.exploration = exploration

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        net = self.policy.q_net
        q = net.q_net(net.features_extractor(self.seen(frame)))
        best = nn.functional.one_hot(q.argmax(1), q.shape[1]).float()
        chances = best * (1 - self.exploration) + self.exploration / q.shape[1]
        return chances.clamp_min(LEAST_PROBABILITY).log(), q.amax(1, keepdim=True)


class Recurrent(_Graph):
    """The state of a row is (hidden, cell) of the actor's LSTM and, if there is one, of the critic's."""

    def __init__(self, policy: Any, *, channels_first: bool) -> None:
        super().__init__(policy, channels_first=channels_first)
        self.lstm, self.critic = policy.lstm_actor, policy.lstm_critic
        self.parts = 2 if self.critic is None else 4
        self.state_size = self.parts * self.lstm.num_layers * self.lstm.hidden_size

    def forward(self, frame: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        actor, critic = self.features(frame)
        shape = (-1, self.parts, self.lstm.num_layers, self.lstm.hidden_size)
        parts = [part.contiguous() for part in state.view(shape).permute(1, 2, 0, 3).unbind(0)]
        latent, (hidden, cell) = self.lstm(actor[None], (parts[0], parts[1]))
        after = [hidden, cell]
        if self.critic is not None:
            value, (hidden, cell) = self.critic(critic[None], (parts[2], parts[3]))
            after += [hidden, cell]
        elif self.policy.shared_lstm:
            value = latent.detach()
        else:
            value = self.policy.critic(critic)[None]
        heads = self.policy.mlp_extractor
        actor, critic = heads.forward_actor(latent[0]), heads.forward_critic(value[0])
        return self.row(actor), self.policy.value_net(critic), torch.stack(after).permute(2, 0, 1, 3).flatten(1)


def _graph(name: str, policy: Any, exploration: float, *, channels_first: bool) -> Any:
    if name == "RecurrentPPO":
        return Recurrent(policy, channels_first=channels_first)
    if name == "DQN":
        return _Q(policy, exploration, channels_first=channels_first)
    return _ActorCritic(policy, channels_first=channels_first)


def export(graph: Any, shape: tuple[int, int, int]) -> bytes:
    """Returns the ONNX file, with all weights inside. shape: (height, width, channels) of what the policy sees."""
    inputs, names = [torch.zeros(2, *shape, dtype=torch.uint8)], ["frame"]
    outputs = ["parameters", "value"]
    if graph.state_size:
        inputs.append(torch.zeros(2, graph.state_size))
        names, outputs = [*names, "state"], [*outputs, "next_state"]
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph.eval(),
                tuple(inputs),
                input_names=names,
                output_names=outputs,
                dynamic_shapes=tuple({0: "rows"} for _ in inputs),
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ValueError(f"the policy's network cannot be exported to ONNX: {str(error).splitlines()[0]}") from None
    assert program
    return bytes(program.model_proto.SerializeToString())
