"""What goes over the wire between a server and its agents: shapes, limits and how they are read."""
