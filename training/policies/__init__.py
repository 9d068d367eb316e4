"""Policies from elsewhere -> what a bundle without words says of them, and their ONNX file."""
