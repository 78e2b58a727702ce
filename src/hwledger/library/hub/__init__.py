"""The Hugging Face hub, and mirrors that speak its API: repositories, their files, search."""
