"""Many runs from one command: each a process of its own, found again by what it is."""
