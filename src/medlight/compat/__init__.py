"""Private names of other libraries: the only place that uses any, one file for each library.

Each has a test in tests/compat that fails once it is gone, and each library an upper bound in
pyproject.toml. Nothing here knows more of medlight than `core`.
"""
