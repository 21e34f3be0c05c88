"""What accounts say about their answers, kept for self-learning (spec/routing.md §8)."""
