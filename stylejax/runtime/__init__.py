"""What the process and the machine are asked for: files, memory, caches, threads."""
