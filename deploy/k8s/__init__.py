"""Kubernetes manifests (kustomize), and the command that checks them."""
