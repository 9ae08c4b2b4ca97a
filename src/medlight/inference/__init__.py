"""From a net to a prediction on the grid of its source."""
