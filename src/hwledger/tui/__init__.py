"""The terminal UI, drawn with Textual; the extra ``[tui]`` installs it."""
