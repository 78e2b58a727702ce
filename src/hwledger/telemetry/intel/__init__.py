"""Intel GPUs, through xpu-smi, intel_gpu_top and the kernel."""
