"""The network as a TensorRT engine."""
