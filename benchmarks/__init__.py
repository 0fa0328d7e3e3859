"""One file for each question it answers; every one writes JSON, from which tables are drawn."""
