"""Usage: what requests cost by day, week or month, and by model, key, strategy, skill or tag."""
