"""Text in and out of a chat; pure, no engine."""
