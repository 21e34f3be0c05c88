"""Monthly statements: an account's usage of a month, frozen; later changes appear on the next statement."""
