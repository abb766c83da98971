"""Ollama's dialect: /api/*."""
