"""Files that run without stylejax: StableHLO, ONNX."""
