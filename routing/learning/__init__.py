"""Self-learning: outcomes of an account's answers, and the bounded shifts of P(success) they cause."""
