"""Pulls and creations, each in a process of its own, followed by any number of clients."""
