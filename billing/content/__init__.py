"""Prompts and answers of accounts that opted in: encrypted, kept for days, shown on the request page."""
