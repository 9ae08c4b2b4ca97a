"""From an index of cases to batches of samples."""
