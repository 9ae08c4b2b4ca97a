"""What watches a run: progress, curves, results, pictures, provenance, Weights & Biases."""
