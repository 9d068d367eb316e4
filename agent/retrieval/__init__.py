"""Frames to the nearest words of a vocabulary, with a frozen CLIP."""
