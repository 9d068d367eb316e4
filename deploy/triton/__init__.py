"""The models of agent bundles in a Triton Inference Server."""
