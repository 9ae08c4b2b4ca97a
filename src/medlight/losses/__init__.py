"""What the losses of MONAI and torch lack.

Shapes: B batch, K labels, *S spatial axes.
"""
