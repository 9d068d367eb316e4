"""Frames -> most similar words of a vocabulary, with a frozen CLIP model."""
