"""Losses that training and optimization minimize: pure functions, one number per image, [B]."""
