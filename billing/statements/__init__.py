"""Monthly statements: what an account used in a month, frozen; what changes later is on the next one."""
