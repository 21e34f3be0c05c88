"""Pages of money: limits and alerts, a key's limits, and what staff may set for an account."""
