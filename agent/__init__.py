"""What one agent computes: frame -> words -> memory vector -> action. No server, no store, no network."""
