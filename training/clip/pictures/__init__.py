"""The small CLIP that reads the pictures of continuous recognition: training data, training, evaluation."""
