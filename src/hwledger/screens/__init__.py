"""View models: what a screen shows, as pure data that every front end draws in its own way."""
