"""Pages of keys, members, settings and the audit log: parse, call, render."""
