"""Alerts: what nobody should learn from the bill, told by e-mail and signed webhook.

Other parts raise with `from billing.alerts.publish import raise_alert, resolve_alert`; delivery is a job's.
"""
