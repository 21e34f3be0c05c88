"""Stripe metered billing, off unless STRIPE_SECRET_KEY is set: Stripe is told what the ledger has."""
