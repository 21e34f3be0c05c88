"""Docs: the pages of docs/ with search, and the assistant that answers from them."""
