"""What this machine is and does: its devices and its memory."""
