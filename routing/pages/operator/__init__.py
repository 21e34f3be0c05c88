"""Operator: providers, jobs, prices and ledger checks, for staff."""
