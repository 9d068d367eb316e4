"""Builds the policy engine: frame and memory vector -> action distribution and value."""

from agent.bundle import AgentBundle
from agent.policy.actor_critic import PolicyEngine, load_actor_critic


def load_policy(bundle: AgentBundle, *, device: str) -> PolicyEngine:
    """Builds the policy engine of a bundle, with its weights, on `device`."""
    return PolicyEngine(load_actor_critic(bundle), device)
