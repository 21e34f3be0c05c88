"""Stripe metered billing, off unless STRIPE_SECRET_KEY is set: reports the ledger's usage to Stripe."""
