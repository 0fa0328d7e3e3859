"""Style transfer without training: the image itself is optimized. Pure functions."""
