"""LM Studio: the folder that it keeps models in, and what its server says."""
