"""Inference engines: what their pages, replies and logs tell, and the engines of this machine."""
