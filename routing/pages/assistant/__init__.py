"""RoutePlex AI: answers questions from the documentation through our own pipeline; support messages."""
