"""One self-contained page of HTML: no script, no network, everything escaped."""
