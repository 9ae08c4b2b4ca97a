"""Verbs on built objects: what the command line does, callable from a notebook."""
