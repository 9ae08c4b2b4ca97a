"""The nouns: what a case, a sample, a grid and a split are. NumPy and the standard library only."""
