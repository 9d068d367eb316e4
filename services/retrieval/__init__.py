"""Frame -> words: the nearest words of a vocabulary, by a frozen CLIP model."""
