"""Retrieval and memory as policy asks them: in this process, or as replicas over gRPC."""
