"""The numerics and the Ray workers; importing the package itself imports no torch."""
