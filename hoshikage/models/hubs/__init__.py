"""Where models are fetched from, one file a hub."""
