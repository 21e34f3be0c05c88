"""The encoder: a small fine-tuned language model that takes a second look at how demanding a request is.

It runs in worker processes of its own, so that it never delays the event loop, and an answer that does not
arrive within the deadline is not waited for: the request model of `decide` then decides alone.
"""
