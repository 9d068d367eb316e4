"""LSTM-PPO ("Impala-PPO", docs/paper.md#baselines) as sb3-contrib's RecurrentPPO with the paper's sizes.

The authors' small CNN (16 and 32 channels, 256 features) or that of the other methods, one LSTM layer of 256, heads of 128
and 512 units. The heads are sb3-contrib's own, without the layer normalisation of the other methods. Failure policy: raises
no errors of its own.
"""

from typing import Any

import gymnasium
import numpy as np
import torch
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from agent.bundle import PolicyPart
from agent.policy.actor_critic import ActorCritic
from training.distinct import distinct

SMALL = PolicyPart(weights="policy.safetensors", channels=(16, 32), features=256)


class FrameFeatures(BaseFeaturesExtractor):
    """The CNN of the actor-critic; each distinct frame of a batch is encoded once."""

    def __init__(self, observation_space: gymnasium.spaces.Box, shape: PolicyPart) -> None:
        super().__init__(observation_space, shape.features)
        _, height, width = observation_space.shape
        self.cnn = ActorCritic(shape, height=height, width=width, memory=1, actions=1).cnn

    def forward(self, observations: Tensor) -> Tensor:
        """Converts float32 (rows, 3, height, width) in [0, 1] to float32 (rows, features)."""
        _, first, rows = distinct((observations * 255).byte())
        features: Tensor = self.cnn(observations[first])
        return features[rows]


class SequencePolicy(RecurrentActorCriticPolicy):
    """sb3-contrib's policy, with a faster LSTM: the original runs step by step if an episode starts within a sequence.

    Training sequences are cut at the starts of episodes, so that an episode can only start at the beginning of a sequence.
    There the state is reset, and the LSTM processes the whole sequence at once.
    """

    @staticmethod
    def _process_sequence(
        features: Tensor, lstm_states: tuple[Tensor, Tensor], episode_starts: Tensor, lstm: nn.LSTM
    ) -> Any:
        """Returns the LSTM's outputs for rows of features, and its last (hidden, cell), as in sb3-contrib."""
        plain = RecurrentActorCriticPolicy._process_sequence
        starts = episode_starts.reshape(lstm_states[0].shape[1], -1)
        if starts[:, 1:].any():
            return plain(features, lstm_states, episode_starts, lstm)
        kept = (1 - starts[:, 0])[None, :, None]
        hidden, cell = lstm_states
        return plain(features, (kept * hidden, kept * cell), torch.zeros_like(episode_starts), lstm)


def policy_arguments(shape: PolicyPart) -> dict[str, Any]:
    """Returns the arguments of a `SequencePolicy`, whose actor and critic share the LSTM and a CNN of this shape."""
    return {
        "features_extractor_class": FrameFeatures,
        "features_extractor_kwargs": {"shape": shape},
        "lstm_hidden_size": 256,
        "shared_lstm": True,
        "enable_critic_lstm": False,
        "net_arch": {"pi": [128], "vf": [512]},
        "activation_fn": nn.ReLU,
    }


def own_tensors(policy: Any) -> dict[str, Tensor]:
    """Returns each of the policy's tensors once, because actor and critic share the CNN."""
    again = ("pi_features_extractor.", "vf_features_extractor.")
    return {name: value for name, value in policy.state_dict().items() if not name.startswith(again)}


def load_policy(run: dict[str, Any], tensors: dict[str, Tensor]) -> SequencePolicy:
    """Loads the policy of a run (the content of its run.json) from the result of `own_tensors`; KeyError names a missing
    tensor.
    """
    height, width = run["frame"]
    shape = PolicyPart(**run["policy"]) if "policy" in run else SMALL  # the only one of earlier runs
    frames = gymnasium.spaces.Box(0, 255, (3, height, width), np.uint8)
    actions = gymnasium.spaces.Discrete(len(tensors["action_net.bias"]))
    policy = SequencePolicy(frames, actions, lambda _: 0.0, **policy_arguments(shape))
    for name, value in own_tensors(policy).items():
        value.detach().copy_(tensors[name])
    policy.set_training_mode(False)
    return policy
