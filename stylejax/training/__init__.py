"""Training: config, state, pure train steps, loop, checkpoints, parallelism and monitoring."""
