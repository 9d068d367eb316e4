"""Words -> memory vector: a frozen transformer with one slot per episode."""
