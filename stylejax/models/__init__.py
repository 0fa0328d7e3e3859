"""Pure Flax Linen modules; no files, no configs of training."""
