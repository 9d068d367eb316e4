"""Retrieval, memory and policy in one process, for laptops, tests and training."""
