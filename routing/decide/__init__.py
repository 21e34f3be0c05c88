"""The decision: which (model, effort) should answer a request; pure functions of input and snapshot."""
