"""All services in one process, for a laptop, tests and training."""
