"""Builds the policy engine: frame and memory vector -> action distribution and value."""

import torch

from agent.bundle import AgentBundle
from agent.engines.loading import check_output, loading
from agent.policy.actor_critic import PolicyEngine, load_actor_critic


def load_policy(bundle: AgentBundle, *, device: str) -> PolicyEngine:
    """Builds the policy engine of a bundle, with its weights, on `device`."""
    part = f"policy.weights {bundle.manifest.policy.weights}"
    with loading(bundle, part):
        model, size = load_actor_critic(bundle), bundle.manifest.observation
        with torch.inference_mode():
            features = model.encode(torch.zeros(1, 3, size.height, size.width, dtype=torch.uint8))
            parameters, values = model.decide(features, torch.zeros(1, bundle.manifest.memory.dimension))
    check_output(bundle, part, torch.cat([parameters, values[:, None]], 1))
    return PolicyEngine(model, device)
