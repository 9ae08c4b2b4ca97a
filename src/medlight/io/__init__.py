"""Bytes to arrays and back, each with the grid it lies on. NumPy only: no torch."""
