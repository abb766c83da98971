"""One loaded model in one worker process; knows tokens and text, no chat, no JSON, no dialect."""
