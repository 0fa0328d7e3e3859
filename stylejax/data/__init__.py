"""Images to batches: files, shards, sources, transforms of one image, the pipeline; packing.

Not here: anything that computes on a device, and writing images.
"""
