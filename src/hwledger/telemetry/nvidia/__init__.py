"""NVIDIA's devices: the driver's own library, and what nvidia-smi prints."""
