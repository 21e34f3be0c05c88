"""One request: why that model, its attempts, its cost and the alternatives."""
