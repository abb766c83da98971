"""What an operator asks: status."""
