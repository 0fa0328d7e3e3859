"""Ways to compute a stylization: whole, padded, in tiles, or with rows on several devices."""
