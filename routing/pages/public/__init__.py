"""Pages for visitors without an account: models, pricing, changelog."""
