"""Deterministic presets, built from MONAI's transforms: the same for training and prediction."""
