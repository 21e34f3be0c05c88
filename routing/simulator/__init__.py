"""The three providers, played by one ASGI server that answers in their own dialects, deterministically."""
