"""Refused calls: those answered with a 4xx before they became a request of the ledger."""
