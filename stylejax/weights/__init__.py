"""Reads and writes tensor files: model files, perceptual networks, the style library."""
