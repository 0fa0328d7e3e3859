"""What training and optimization minimize: pure functions of arrays, one number an image, [B]."""
