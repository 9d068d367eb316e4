"""The offline tool that builds a vocabulary from CLIP's words and a language model's."""
