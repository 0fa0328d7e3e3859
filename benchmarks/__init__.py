"""One file for each question; each writes JSON, from which tables are drawn."""
