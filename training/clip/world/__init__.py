"""The small CLIP of MiniWorld: training and evaluation on 60x80 frames of 3-D rooms."""
