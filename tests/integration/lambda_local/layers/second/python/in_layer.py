"""Of two layers with the same module, the later one's counts."""

NAME = "second"
