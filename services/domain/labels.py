"""How metrics name an agent."""


def agent_labels(name: str, digest: str) -> tuple[str, str]:
    """Labels `agent` and `digest`; the digest as far as the names of Triton's models have it."""
    return name, digest[:16]
