"""Fits the encoder of `routing/encoder` on rated requests: `make fit-encoder` (docs/routing-lab.md)."""
