"""Tensors to files and back: model files, perceptual nets, the style library."""
