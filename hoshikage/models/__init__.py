"""Which models exist, where they come from, which are loaded."""
