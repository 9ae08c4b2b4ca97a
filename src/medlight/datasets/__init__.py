"""One file for each data set: where its cases lie, and its layout in miniature."""
