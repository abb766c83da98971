"""What other tools keep on this disk: read, never written."""
