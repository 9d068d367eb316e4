"""Running the models in a Triton Inference Server: the client, and the backend that runs inside Triton."""
