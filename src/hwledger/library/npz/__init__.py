"""MLX npz files: reading their headers."""
