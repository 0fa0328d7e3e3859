"""Style transfer without training: the pixels of the image themselves are optimized. Pure functions."""
