"""Frame and memory vector -> action distribution and value."""

from agent.bundle import AgentBundle
from agent.policy.actor_critic import PolicyEngine, load_actor_critic


def load_policy(bundle: AgentBundle, *, device: str) -> PolicyEngine:
    """Frame and memory vector -> action distribution and value, with the bundle's weights."""
    return PolicyEngine(load_actor_critic(bundle), device)
