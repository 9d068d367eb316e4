"""Training and evaluation of the small CLIP models in `models/`, on synthetic scenes with exact captions."""
