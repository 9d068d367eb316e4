"""Frame and memory vector to an action: the actor-critic and its action heads."""
