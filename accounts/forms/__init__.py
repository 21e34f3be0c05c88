"""What people may type on the pages of keys and settings, checked."""
