"""A trained model for those who do not have this code: an ONNX graph and how to feed it."""
