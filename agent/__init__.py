"""The computation of one agent: frame -> words -> memory vector -> action. It uses no server, database or network."""
