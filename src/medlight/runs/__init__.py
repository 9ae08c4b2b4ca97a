"""The run directory: its files, what its configuration keys mean, and where runs are found."""
