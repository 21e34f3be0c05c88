"""Forms of the pages of keys, members and settings."""
