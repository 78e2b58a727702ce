"""What the server of a fleet and its agents say to each other: shapes alone, without database or server."""
