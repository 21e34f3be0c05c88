"""The decision: which (model, effort) should answer a request; pure functions of question and snapshot."""
