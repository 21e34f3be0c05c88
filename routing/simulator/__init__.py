"""One ASGI server that imitates the three providers and answers in their formats, deterministically."""
