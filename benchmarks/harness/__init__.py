"""What benchmarks share: timing, reports, comparing results."""
