"""The network as a TensorRT engine: built from our ONNX graph, kept with a card, run on one CUDA stream."""
