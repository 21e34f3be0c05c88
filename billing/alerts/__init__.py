"""Alerts about budgets, providers, prices and jobs, sent by e-mail and signed webhook.

Other packages call `billing.alerts.publish`: `raise_alert` and `resolve_alert`; a Celery task delivers.
"""
