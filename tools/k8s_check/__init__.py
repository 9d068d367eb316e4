"""Renders the Kubernetes overlays and checks them."""
