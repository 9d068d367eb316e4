"""Measurements; every figure in docs/ names the command that made it."""
