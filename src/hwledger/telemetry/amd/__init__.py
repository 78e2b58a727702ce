"""AMD: its Python binding, its tools in every version, and what the kernel tells without any of them."""
