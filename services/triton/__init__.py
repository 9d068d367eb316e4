"""Everything that speaks to a Triton Inference Server, and what runs inside it."""
