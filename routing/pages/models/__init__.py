"""Models: which models can answer, their prices, speed, health and expected success."""
