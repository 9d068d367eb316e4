"""The servers: retrieval, memory, policy, and what they share."""
