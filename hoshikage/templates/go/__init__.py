"""A small interpreter of Go's text/template: what chat templates use of it. Knows no chat; pure."""
