"""The engines of this machine, found and watched without disturbing them."""
