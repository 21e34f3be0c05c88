"""Paths of the account pages, included at the root; django-allauth serves sign-in at /accounts/."""

from django.urls import path

from accounts.views import audit, keys, members, sessions, settings

urlpatterns = [
    path("keys/", keys.keys, name="keys"),
    path("keys/new/", keys.key_new, name="key_new"),
    path("keys/<int:pk>/rotate/", keys.key_rotate, name="key_rotate"),
    path("keys/<int:pk>/revoke/", keys.key_revoke, name="key_revoke"),
    path("keys/<int:pk>/resume/", keys.key_resume, name="key_resume"),
    path("members/", members.members, name="members"),
    path("members/<int:pk>/role/", members.member_role, name="member_role"),
    path("members/<int:pk>/remove/", members.member_remove, name="member_remove"),
    path("members/invitations/<int:pk>/withdraw/", members.invitation_withdraw, name="invitation_withdraw"),
    path("members/join/<slug:secret>/", members.join, name="join"),
    path("my-accounts/", members.my_accounts, name="my_accounts"),
    path("settings/", settings.settings, name="settings"),
    path("settings/sessions/<int:pk>/end/", sessions.session_end, name="session_end"),
    path("audit/", audit.audit, name="audit"),
]
