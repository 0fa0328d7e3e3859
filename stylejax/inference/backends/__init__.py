"""Ways to compute a stylization: whole, padded, in tiles, or on several devices."""
