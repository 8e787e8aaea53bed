"""What a strategy can look at: incremental state around kernels, written as rows."""
