"""From files to files: weights, pictures, and the loop behind infer.py.

Not here: the mathematics of a stylization (`stylejax.transfer`), decoding (`stylejax.data`).
"""
