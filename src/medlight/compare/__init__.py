"""Finished runs beside each other: what differs, by how much, and whether one may believe it."""
