"""Paths of keys and settings, included at the root; signing up and in is django-allauth's, at /accounts/."""

from django.urls import path

from accounts.views import audit, keys, settings

urlpatterns = [
    path("keys/", keys.keys, name="keys"),
    path("keys/new/", keys.key_new, name="key_new"),
    path("keys/<int:pk>/rotate/", keys.key_rotate, name="key_rotate"),
    path("keys/<int:pk>/revoke/", keys.key_revoke, name="key_revoke"),
    path("settings/", settings.settings, name="settings"),
    path("audit/", audit.audit, name="audit"),
]
