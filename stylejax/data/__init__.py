"""Pictures from disk to batches: files, sources, transforms of one picture, the pipeline.

Not here: anything that computes on a device, and writing pictures.
"""
