"""Builds and runs the container images without a container engine."""
