"""Dashboard pages of billing: limits and alerts, statements, Stripe, and accounts for operators."""
