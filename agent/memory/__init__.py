"""Words -> memory vector, with a frozen language model and one slot per episode."""
