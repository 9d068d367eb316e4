"""Transformer-XL, the paper's language model, and the public transfo-xl-wt103 files."""
