"""The preprocess-once store: what is deterministic is done once, and read fast ever after."""
