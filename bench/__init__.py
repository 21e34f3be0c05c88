"""Measurements and fits; not imported by the product."""
