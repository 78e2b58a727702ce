"""safetensors files: reading their headers."""
