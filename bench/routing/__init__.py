"""Judges routing by real outcomes: `python -m bench.routing --data DIR` (docs/routing-lab.md)."""

from bench.routing.predictor import Predictor, load_predictor

__all__ = ["Predictor", "load_predictor"]
