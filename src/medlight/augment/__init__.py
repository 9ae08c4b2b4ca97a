"""Random, batched, on the training device; functions of (seed, epoch, draw)."""
