"""Policies without words: a frame, and at most a bounded state -> action parameters, a value and the next state.

They come from elsewhere (stable-baselines3, ONNX files, Python packages) and know neither retrieval nor a language model.
What they remember, if anything, is their state: bytes that whoever runs them keeps with the step.
"""
