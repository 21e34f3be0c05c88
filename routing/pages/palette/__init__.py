"""The command palette: finds pages, requests, keys, models and documentation."""
