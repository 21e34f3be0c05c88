"""An account's data: everything as a file, erasing stored content, and deleting the account."""
