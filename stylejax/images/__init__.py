"""Converts image files to arrays and back: formats, decoding, encoding, resizing, finding, video.

uint8, alpha, EXIF and ICC profiles are handled only here; all else sees float32 RGB in [0, 1].
"""
