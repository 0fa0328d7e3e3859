"""From files to files: weights, images, and the loop behind infer.py.

Not here: the mathematics of a stylization (`stylejax.transfer`), decoding (`stylejax.data`).
"""
