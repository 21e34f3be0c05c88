"""The decision: which (model, effort) should answer a request; pure functions over a question and a snapshot."""
