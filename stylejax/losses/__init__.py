"""What training minimises: pure functions of arrays, scalars out."""
