"""Deployments: local processes, container images, Kubernetes, and observability."""
