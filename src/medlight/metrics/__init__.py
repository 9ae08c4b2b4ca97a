"""Scores of whole cases: arithmetic on rows, the same for validation, test and comparison."""
