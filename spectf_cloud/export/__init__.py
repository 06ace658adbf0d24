"""The network in formats other programs run: an ONNX graph, a TensorRT engine."""
