"""Tables of users, accounts, members, plans, API keys, invitations, the audit log and the cache."""

from typing import ClassVar

from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower


class LimitFields(models.Model):
    """Limits that a plan, an account or a key may set; NULL: no limit."""

    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)
    tokens_per_minute = models.PositiveIntegerField(null=True, blank=True)
    concurrent_requests = models.PositiveIntegerField(null=True, blank=True)
    daily_tokens = models.PositiveBigIntegerField(null=True, blank=True)
    monthly_tokens = models.PositiveBigIntegerField(null=True, blank=True)
    daily_usd = models.DecimalField(max_digits=18, decimal_places=9, null=True, blank=True)
    monthly_usd = models.DecimalField(max_digits=18, decimal_places=9, null=True, blank=True)

    class Meta:
        abstract = True


class Plan(LimitFields):
    """A named set of limits that accounts share; a migration creates three."""

    name = models.SlugField(primary_key=True, max_length=40)
    title = models.CharField(max_length=80)

    def __str__(self) -> str:
        return self.title


class UserManager(BaseUserManager["User"]):
    """Creates users that sign in with their e-mail address."""

    use_in_migrations = True

    def create_user(self, email: str, password: str | None = None, **fields: object) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: object) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractUser):
    username = None  # type: ignore[assignment]
    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]
    email = models.EmailField(unique=True)
    time_zone = models.CharField(max_length=64, default="UTC")

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager()  # type: ignore[assignment,misc]

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(Lower("email"), name="user_email_ci_unique")]

    def __str__(self) -> str:
        return self.email


class Account(LimitFields):
    """The owner of keys, requests and settings, which pays. Its own limits override its plan's."""

    name = models.CharField(max_length=120)
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="accounts")
    members = models.ManyToManyField(User, through="Member", related_name="accounts")
    strategy = models.CharField(max_length=16, default="auto")
    baseline_model = models.CharField(max_length=120, blank=True)  # empty: the best fixed model
    allowed_models = models.JSONField(default=list, blank=True)  # rules, as those of a key
    fallback = models.BooleanField(default=True)  # False: a pinned model is strict
    rescue = models.BooleanField(default=True)  # continue a cut stream with the next arm
    time_zone = models.CharField(max_length=64, default="UTC")  # days and months of limits and reports
    replace_retired = models.BooleanField(default=True)
    log_content = models.BooleanField(default=False)  # store prompts and answers (billing/content)
    keep_content_days = models.PositiveSmallIntegerField(default=30, db_default=30)
    keep_details_days = models.PositiveSmallIntegerField(null=True, blank=True)  # NULL: always
    deleted_at = models.DateTimeField(null=True, blank=True)  # its sums stay in the ledger, without people
    created_at = models.DateTimeField(auto_now_add=True)

    is_one_of_several = False  # set by accounts.access: the person has other accounts too

    def __str__(self) -> str:
        return self.name


class Member(models.Model):
    class Role(models.TextChoices):
        OWNER = "owner"
        ADMIN = "admin"
        VIEWER = "viewer"

    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    user = models.ForeignKey(User, on_delete=models.CASCADE)
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.OWNER)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["account", "user"], name="member_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.account} as {self.role}"


class ApiKey(LimitFields):
    """An API key without its secret: only its SHA-256 and its last four characters are stored."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="keys")
    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True)
    last_four = models.CharField(max_length=4)
    scopes = models.JSONField(default=list)
    allowed_models = models.JSONField(default=list, blank=True)  # ids, provider/*; with - excluded
    ip_networks = models.JSONField(default=list, blank=True)
    strategy = models.CharField(max_length=16, blank=True)  # empty: the account's
    fallback = models.BooleanField(null=True, blank=True)  # NULL: the account's
    # The first key that this one replaces by rotation. Its budgets and rates go on: see lineage_id.
    origin = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    created_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    suspended_at = models.DateTimeField(null=True, blank=True)  # its creator left; an owner may resume it
    last_used_at = models.DateTimeField(null=True, blank=True)
    # Stands for the playground in the account's requests and limits. Its secret was never shown.
    is_playground = models.BooleanField(default=False, db_default=False)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["account", "-created_at"], name="key_by_account")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account"], condition=models.Q(is_playground=True), name="playground_key_once"
            )
        ]

    def __str__(self) -> str:
        return self.name if self.is_playground else f"{self.name} (…{self.last_four})"

    @property
    def lineage_id(self) -> int:
        """The id under which a key and its rotations count together in budgets and rates."""
        return self.origin_id or self.pk


class AuditEntry(models.Model):
    """One administrative act, with actor, target and time. Rows are only ever added."""

    account = models.ForeignKey(
        Account, null=True, blank=True, on_delete=models.CASCADE, related_name="audit_entries"
    )
    actor = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL)  # NULL: the system
    actor_name = models.CharField(max_length=254)  # stays when the user is deleted
    action = models.CharField(max_length=60)  # e.g. key.created, limits.changed, price.accepted
    target = models.CharField(max_length=160, blank=True)
    detail = models.JSONField(null=True, blank=True)  # never a secret
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["account", "-at"], name="audit_by_account")]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.action} {self.target}"


class Remembered(models.Model):
    """An entry of Django's database cache, used without Redis: for example counts of sign-in attempts.

    Only Django's cache reads and writes the rows.
    """

    cache_key = models.CharField(primary_key=True, max_length=255)
    value = models.TextField()
    expires = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.cache_key


class Invitation(models.Model):
    """A link, mailed to one address, to join an account; it works once."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=16, choices=Member.Role.choices)
    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of the link's secret
    invited_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)  # accepted, withdrawn or replaced

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                "account", Lower("email"), condition=models.Q(ended_at=None), name="invitation_pending_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.account_id} as {self.role}"
