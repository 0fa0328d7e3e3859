"""Pictures to batches: files, shards, sources, transforms of one picture, the pipeline; packing.

Not here: anything that computes on a device, and writing pictures.
"""
