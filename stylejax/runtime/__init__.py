"""Services of the process and the machine: files, memory, caches, threads, several processes."""
