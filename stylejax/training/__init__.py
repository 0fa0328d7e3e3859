"""Config, state, steps (pure), loop, checkpoints, parallelism, monitoring."""
