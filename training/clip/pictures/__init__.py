"""The small CLIP for the pictures of continuous recognition: training data, training, evaluation."""
