"""Which words decided a step."""
