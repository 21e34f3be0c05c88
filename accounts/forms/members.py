"""Forms of the Members page: an invitation, and a member's role."""

from collections.abc import Sequence
from typing import Any

from django import forms

from accounts.models import Member

_WORDS = {
    Member.Role.VIEWER: "Viewer: looks, changes nothing",
    Member.Role.ADMIN: "Admin: keys, limits, settings, members",
    Member.Role.OWNER: "Owner: everything, other owners too",
}


class RoleForm(forms.Form):
    """A role out of those that may be given."""

    role = forms.ChoiceField(label="Role")

    def __init__(self, *args: Any, roles: Sequence[Member.Role], **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["role"].choices = [(role.value, _WORDS[role]) for role in roles]  # type: ignore[attr-defined]


class InviteForm(RoleForm):
    email = forms.EmailField(label="E-mail", max_length=254)
    field_order = ("email", "role")
