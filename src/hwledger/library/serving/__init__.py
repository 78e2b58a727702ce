"""Running inference engines: which engine answers at an address, and what it runs."""
