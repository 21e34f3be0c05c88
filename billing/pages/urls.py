"""Paths of billing's pages, included at the root."""

from django.urls import path

from billing.pages import accounts, channels, key_limits, limits, statements, stripe
from billing.stripe_meter.webhook import webhook

urlpatterns = [
    path("billing/", stripe.payment, name="payment"),
    path("billing/checkout/", stripe.checkout, name="checkout"),
    path("billing/portal/", stripe.portal, name="portal"),
    path("stripe/webhook", webhook, name="stripe_webhook"),
    path("statements/", statements.statements, name="statements"),
    path("statements/<slug:number>/", statements.statement, name="statement"),
    path("statements/<slug:number>.pdf", statements.as_pdf, name="statement_pdf"),
    path("statements/<slug:number>.csv", statements.as_csv, name="statement_csv"),
    path("statements/<slug:number>.json", statements.as_json, name="statement_json"),
    path("limits/", limits.limits, name="limits"),
    path("limits/channels/webhook/new/", channels.webhook_new, name="webhook_new"),
    path("limits/channels/email/new/", channels.email_new, name="alert_email_new"),
    path("limits/channels/<int:pk>/test/", channels.test, name="channel_test"),
    path("limits/channels/<int:pk>/on/", channels.on, name="channel_on"),
    path("limits/channels/<int:pk>/off/", channels.off, name="channel_off"),
    path("limits/channels/<int:pk>/secret/", channels.secret, name="channel_secret"),
    path("limits/channels/<int:pk>/remove/", channels.remove, name="channel_remove"),
    path("keys/<int:pk>/limits/", key_limits.key_limits, name="key_limits"),
    path("operator/accounts/", accounts.accounts, name="operator_accounts"),
    path("operator/accounts/<int:pk>/", accounts.account, name="operator_account"),
]
