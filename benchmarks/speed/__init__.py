"""How fast? One file for each question."""
