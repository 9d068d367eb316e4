"""Offline tool that builds a vocabulary from the words that CLIP and a language model share."""
