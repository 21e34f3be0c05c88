"""Savings: what routing saved against the account's baseline model."""
