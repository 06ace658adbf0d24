"""The network as an ONNX graph, and the runtimes that compute it."""
