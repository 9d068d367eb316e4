"""Builds the policy engine: frame and memory vector -> action distribution and value."""

import torch

from agent.bundle import AgentBundle
from agent.engines.loading import check_output, loading, trial_frame
from agent.policy.actor_critic import PolicyEngine, load_actor_critic


def load_policy(bundle: AgentBundle, *, device: str) -> PolicyEngine:
    """Builds the policy engine of a bundle, with its weights, on `device`."""
    part = f"policy.weights {bundle.manifest.policy.weights}"
    with loading(bundle, part):
        model = load_actor_critic(bundle)
        frame = torch.from_numpy(trial_frame(bundle.manifest.observation)).permute(2, 0, 1)
        frames = torch.stack([frame, torch.zeros_like(frame), torch.full_like(frame, 255)])
        with torch.inference_mode():
            features = model.encode(frames)
            parameters, values = model.decide(features, torch.ones(len(frames), bundle.manifest.memory.dimension))
    check_output(bundle, part, torch.cat([parameters, values[:, None]], 1))
    return PolicyEngine(model, device)
