"""What benchmarks share: timing, reports, comparison of results."""
