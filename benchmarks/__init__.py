"""How fast and how large: each module is one command, and README.md says what it measures."""
