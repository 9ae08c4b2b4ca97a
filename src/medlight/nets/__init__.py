"""What MONAI's nets lack."""
