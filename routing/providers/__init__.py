"""The providers on the wire: one adapter a dialect, one transport, one retry classification.

`registry.Upstreams` is the only door; nothing outside this package knows a provider's words.
"""
