"""hoshikage (星影): a drop-in Ollama server in Python over one llama.cpp engine."""
