"""Home: the account's figures and what needs attention; the landing page for visitors."""
