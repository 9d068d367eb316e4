"""Retrieval and memory as policy calls them: in this process, or as replicas over gRPC."""
