"""Requests: the filtered list, its live tail and its export."""
