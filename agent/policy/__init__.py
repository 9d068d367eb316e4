"""The actor-critic and its action heads: frame and memory vector -> action."""
