"""Learning: what outcomes taught the router about this account, and its switches."""
