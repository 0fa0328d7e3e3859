"""Turns images into training batches: files, shards, sources, crops, the pipeline; packing shards.

Nothing here computes on a device or writes images.
"""
