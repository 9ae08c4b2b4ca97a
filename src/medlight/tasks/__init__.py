"""Tasks turn samples into losses, scores and predictions."""
