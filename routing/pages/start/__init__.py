"""Start: a key in one click, code to paste, and the arrival of the first request."""
