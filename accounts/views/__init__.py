"""Pages of keys and settings: parse, call, render."""
