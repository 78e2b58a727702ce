"""GGUF files: reading their headers, and the models that they describe."""
