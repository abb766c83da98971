"""The RAM disk: a tmpfs that holds copies of models and the snapshots of conversations. Knows no engine."""
