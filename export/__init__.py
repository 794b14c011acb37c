"""All that needs torch: checkpoints to ONNX, and the training of the bundled model."""
