"""The command line: verbs, overrides, help and errors. Only here and in sweep is Hydra known."""
