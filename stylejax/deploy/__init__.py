"""Exports files that run without stylejax: StableHLO programs, ONNX models and a web page."""
