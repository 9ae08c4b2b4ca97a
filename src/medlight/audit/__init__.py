"""What is wrong with a data set: one pass over its files, then pure functions of what they say."""
