"""Measured speeds of single requests beside predicted ones, and the fit of the constants."""
