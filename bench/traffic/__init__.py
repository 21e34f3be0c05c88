"""Judges the decision on everyday traffic that people rated: `make bench-traffic` (docs/routing-lab.md)."""
