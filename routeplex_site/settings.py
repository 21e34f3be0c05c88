"""All settings, read from the environment once and typed; docs/configuration.md lists them.

There is no second settings file: production is configured by the environment alone.
"""

import os
import random
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.core.management.utils import get_random_secret_key
from environs import Env

env = Env()
BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env.str("VAR_DIR", str(BASE_DIR / "var")))
os.umask(0o077)  # what this process writes, the database and queued jobs above all, is for its user alone
VAR_DIR.mkdir(parents=True, exist_ok=True)
with suppress(PermissionError):  # it belongs to somebody else, who set its mode
    VAR_DIR.chmod(0o700)  # for files that were written before


def _stored_secret() -> str:
    """The secret created at the first start and stored under var/, if SECRET_KEY is not set."""
    path = VAR_DIR / "secret_key"
    try:
        with path.open("x") as file:
            path.chmod(0o600)
            file.write(get_random_secret_key() + get_random_secret_key())
    except FileExistsError:
        pass
    return path.read_text()


# ── Addresses and hosts ─────────────────────────────────────────────────────────────────────────────────
PORT = env.int("PORT", 8000)
HOST = env.str("HOST", "127.0.0.1")
WEB_WORKERS = env.int("WEB_WORKERS", 1)
PUBLIC_URL = env.str("PUBLIC_URL", f"http://localhost:{PORT}").rstrip("/")
HTTPS = PUBLIC_URL.startswith("https://")
DEBUG = env.bool("DEBUG", False)
SECRET_KEY = env.str("SECRET_KEY", "") or _stored_secret()
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", [])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]", ".localhost"])
# Pages of these origins may call the API from a browser, with a key and never with a cookie; * is any
CORS_ORIGINS: list[str] = [origin.rstrip("/") for origin in env.list("CORS_ORIGINS", ["*"])]
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", [PUBLIC_URL])

SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
# Proxies in front whose X-Forwarded-For and X-Forwarded-Proto are believed (routeplex_site/client_address.py)
PROXY_HOPS = env.int("PROXY_HOPS", 0, validate=lambda hops: hops >= 0)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PROXY_HOPS else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = 14 * 24 * 3600
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

# ── Stripe (docs/stripe.md): set all or none ────────────────────────────────────────────────────────────
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", "")
STRIPE_WEBHOOK_SECRET = env.str("STRIPE_WEBHOOK_SECRET", "")
STRIPE_METER_EVENT = env.str("STRIPE_METER_EVENT", "")
STRIPE_PRICE = env.str("STRIPE_PRICE", "")
STRIPE_API_BASE = env.str("STRIPE_API_BASE", "")  # replaces Stripe's own address, for tests
_STRIPE_PAGES = ["https://checkout.stripe.com", "https://billing.stripe.com"] if STRIPE_SECRET_KEY else []

CONTENT_SECURITY_POLICY: dict[str, Any] = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "style-src": ["'self'"],
        "script-src": ["'self'"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'", *_STRIPE_PAGES],  # forms that are answered by a redirect there
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
    }
}

# ── Installed apps and middleware ───────────────────────────────────────────────────────────────────────
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "rest_framework",
    "drf_spectacular",
    "django_htmx",
    "csp",
    "accounts",
    "billing",
    "billing.alerts",
    "billing.content",
    "billing.refusals",
    "billing.reports",
    "billing.statements",
    "billing.stripe_meter",
    "routing.catalog",
    "routing.learning",
    "routing.pages.assistant",
    "routing.pages.requests",
    "routing",
    "routeplex_site",
]

MIDDLEWARE = [
    "routeplex_site.middleware.request_id",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "routeplex_site.middleware.private_pages",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "routeplex_site.middleware.DatabaseAway",
]

ROOT_URLCONF = "routeplex_site.urls"
ASGI_APPLICATION = "routeplex_site.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "routeplex_site.context.site",
            ],
            "builtins": ["core.numbers.formats"],
        },
    }
]

# ── Storage ─────────────────────────────────────────────────────────────────────────────────────────────
DATABASES: dict[str, dict[str, Any]] = {
    "default": env.dj_db_url("DATABASE_URL", f"sqlite:///{VAR_DIR / 'routeplex.sqlite3'}"),
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",  # waits for the lock instead of failing on upgrade
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000;",
    }
    DATABASES["default"]["CONN_MAX_AGE"] = None  # opening it anew for each group of writes costs a tenth
    # A file, so that the writer's thread and the live server see the tests' rows.
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    # A connection that died without being closed is noticed within seconds, not after 15 minutes.
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        connect_timeout=5, tcp_user_timeout=10_000, keepalives_idle=10, keepalives_interval=5
    )
    DATABASES["default"]["CONN_MAX_AGE"] = 60
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", "")
REDIS_PREFIX = env.str("REDIS_PREFIX", "routeplex")  # of our own keys
# Sign-in attempts and used one-time codes: all web processes must count them together.
CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "core.cache.RedisOrDatabaseCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},  # seconds
    }
    if REDIS_URL
    else {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "accounts_remembered",
        "OPTIONS": {"MAX_ENTRIES": 1_000_000},  # as core/cache.py has it
    }
}

# ── Jobs ────────────────────────────────────────────────────────────────────────────────────────────────
_QUEUE_DIR = VAR_DIR / "queue"
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", REDIS_URL or "filesystem://localhost")
if CELERY_BROKER_URL.startswith("filesystem"):
    _QUEUE_DIR.mkdir(exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_QUEUE_DIR),
        "data_folder_out": str(_QUEUE_DIR),
        "control_folder": str(_QUEUE_DIR),
    }
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TIME_LIMIT = 600
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "celerybeat-schedule")
CELERY_BEAT_SYNC_EVERY = (
    1  # after every job, because a killed beat that lost the time of the last job would send it again
)
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "measure-health": {"task": "routing.tasks.measure_health", "schedule": 30.0},
    "roll-up-availability": {"task": "routing.tasks.roll_up_availability", "schedule": 60.0},
    "sweep-open-requests": {"task": "billing.tasks.sweep_open_requests", "schedule": 15.0},
    "move-ended-window-shares": {"task": "billing.tasks.move_ended_window_shares", "schedule": 3600.0},
    "forget-idempotent-outcomes": {"task": "billing.tasks.forget_idempotent_outcomes", "schedule": 600.0},
    "forget-ended-sessions": {"task": "accounts.tasks.forget_ended_sessions", "schedule": 24 * 3600.0},
    "forget-old-alerts": {"task": "billing.tasks.forget_old_alerts", "schedule": 24 * 3600.0},
    "forget-old-outcomes": {"task": "routing.tasks.forget_old_outcomes", "schedule": 24 * 3600.0},
    "forget-old-content": {"task": "billing.content.tasks.forget_old_content", "schedule": 24 * 3600.0},
    "forget-old-refusals": {"task": "billing.refusals.tasks.forget_old_refusals", "schedule": 24 * 3600.0},
    "refresh-prices": {"task": "billing.tasks.refresh_prices", "schedule": 24 * 3600.0},
    "ask-for-prices": {"task": "billing.tasks.ask_for_prices", "schedule": 60.0},
    "audit-lately": {"task": "billing.tasks.audit_lately", "schedule": 3600.0},
    "gather-outcomes": {"task": "routing.tasks.gather_outcomes", "schedule": 300.0},
    "learn-answer-lengths": {"task": "routing.tasks.learn_answer_lengths", "schedule": 600.0},
    "watch-distribution": {"task": "routing.tasks.watch_distribution", "schedule": 3600.0},
    "audit-ledger": {"task": "billing.tasks.audit_ledger", "schedule": 24 * 3600.0},
    "raise-budget-alerts": {"task": "billing.alerts.tasks.raise_budget_alerts", "schedule": 30.0},
    "deliver-alerts": {"task": "billing.alerts.tasks.deliver_alerts", "schedule": 10.0},
    "roll-up-usage": {"task": "billing.reports.tasks.roll_up_usage", "schedule": 300.0},
    "make-statements": {"task": "billing.statements.tasks.make_due_statements", "schedule": 3600.0},
    "watch-jobs": {"task": "billing.alerts.tasks.watch_jobs", "schedule": 60.0},
}
if STRIPE_SECRET_KEY:
    CELERY_BEAT_SCHEDULE["meter-usage"] = {
        "task": "billing.stripe_meter.tasks.meter_usage",
        "schedule": 3600.0,
    }
for _job in CELERY_BEAT_SCHEDULE.values():  # jobs that pile up while no worker runs are done once
    _job["options"] = {"expires": _job["schedule"]}

# ── Retention (docs/retention.md) ───────────────────────────────────────────────────────────────────────
KEEP_REASONING_S = env.int("KEEP_REASONING_S", 3600, validate=lambda seconds: seconds >= 0)
KEEP_RESPONSES_S = env.int("KEEP_RESPONSES_S", 86_400, validate=lambda seconds: seconds >= 0)
KEEP_ALERTS_DAYS = env.int("KEEP_ALERTS_DAYS", 180, validate=lambda days: days >= 1)
# Stripe repeats a message for three days; an event deleted before that would be processed twice.
KEEP_WEBHOOK_EVENTS_DAYS = env.int("KEEP_WEBHOOK_EVENTS_DAYS", 90, validate=lambda days: days >= 7)
KEEP_REFUSALS_DAYS = env.int("KEEP_REFUSALS_DAYS", 30, validate=lambda days: days >= 1)
KEEP_OUTCOMES_DAYS = env.int("KEEP_OUTCOMES_DAYS", 365, validate=lambda days: days >= 1)

# ── Ledger ──────────────────────────────────────────────────────────────────────────────────────────────
# Seconds that opening a request waits for an unavailable database, and for money held by other requests.
DATABASE_PATIENCE_S = env.float("DATABASE_PATIENCE_S", 5.0)
HOLD_WAIT_S = env.float("HOLD_WAIT_S", 20.0)
# Each web process writes a heartbeat every HEARTBEAT_S. After PROCESS_SILENCE_S without one it is suspected;
# after half of that time again it counts as dead, and the sweeper settles its open requests.
HEARTBEAT_S = env.float("HEARTBEAT_S", 5.0)
PROCESS_SILENCE_S = env.float("PROCESS_SILENCE_S", 30.0)
# Seconds a web process keeps serving after SIGTERM while `/readyz` answers 503 (routeplex_site/draining.py).
DRAIN_S = env.float("DRAIN_S", 0.0)
# Assumed price of a model without a price while its cost is held: above any listed price.
UNPRICED_CEILING_USD_PER_MTOK = env.decimal("UNPRICED_CEILING_USD_PER_MTOK", Decimal(600))

# ── Decisions ───────────────────────────────────────────────────────────────────────────────────────────
# Uniform in [0, 1): which automatic decisions explore a near tie (docs/strategies.md); 0 never explores.
EXPLORATION_DRAW: Callable[[], float] = random.random
# The encoder's second look (routing/encoder). auto: where onnxruntime is installed.
ENCODER = env.str("ENCODER", "auto", validate=lambda value: value in ("auto", "off"))
ENCODER_WORKERS = env.int("ENCODER_WORKERS", 1, validate=lambda number: number >= 1)
ENCODER_QUEUE = env.int("ENCODER_QUEUE", 4, validate=lambda number: number >= 0)
ENCODER_DEADLINE_MS = env.float("ENCODER_DEADLINE_MS", 40.0, validate=lambda ms: ms > 0)

# ── Providers ───────────────────────────────────────────────────────────────────────────────────────────
SIMULATOR_PORT = env.int("SIMULATOR_PORT", PORT + 1)
SIMULATOR_URL = env.str("SIMULATOR_URL", f"http://127.0.0.1:{SIMULATOR_PORT}").rstrip("/")
SIMULATOR_SPEED = env.float("SIMULATOR_SPEED", 1.0)
SIMULATOR_MODE = env.str("SIMULATOR", "auto", validate=lambda value: value in ("auto", "on", "off"))
_OFFICIAL_PROVIDERS = (
    # name, as people read it, environment prefix, dialect, public base URL, path below the simulator's
    ("openai", "OpenAI", "OPENAI", "openai", "https://api.openai.com/v1", "/v1"),
    ("anthropic", "Anthropic", "ANTHROPIC", "anthropic", "https://api.anthropic.com", ""),
    ("google", "Google", "GEMINI", "gemini", "https://generativelanguage.googleapis.com", ""),
)
_keys = {name: env.str(f"{prefix}_API_KEY", "") for name, _, prefix, *_ in _OFFICIAL_PROVIDERS}
PROVIDER_NAMES = {name: title for name, title, *_ in _OFFICIAL_PROVIDERS}
SIMULATOR = SIMULATOR_MODE == "on" or (SIMULATOR_MODE == "auto" and not any(_keys.values()))
# Further OpenAI-compatible upstreams: a JSON list, or the path of a file that holds one (docs/upstreams.md).
UPSTREAMS = env.str("UPSTREAMS", "")
PROVIDERS: list[dict[str, str]] = []
for _name, _, _prefix, _dialect, _public_url, _path in _OFFICIAL_PROVIDERS:
    if SIMULATOR:
        _base_url, _key = SIMULATOR_URL + _path, "simulator"
    else:
        _base_url, _key = env.str(f"{_prefix}_BASE_URL", "") or _public_url, _keys[_name]
    if _key:
        PROVIDERS.append(
            {"name": _name, "dialect": _dialect, "base_url": _base_url.rstrip("/"), "api_key": _key}
        )

CATALOG_REFRESH_S = env.float("CATALOG_REFRESH_S", 5.0)

# Deadlines of a request, seconds (docs/reliability.md)
CONNECT_TIMEOUT_S = env.float("CONNECT_TIMEOUT_S", 3.0)
FIRST_BYTE_TIMEOUT_S = env.float("FIRST_BYTE_TIMEOUT_S", 14.0)
FIRST_BYTE_PATIENCE = env.float("FIRST_BYTE_PATIENCE", 3.0)
IDLE_TIMEOUT_S = env.float("IDLE_TIMEOUT_S", 20.0)
REQUEST_TIMEOUT_S = env.float("REQUEST_TIMEOUT_S", 120.0)
# Of a request to this server: until its head is complete, and until its body is
HEAD_TIMEOUT_S = env.float("HEAD_TIMEOUT_S", 15.0)
BODY_TIMEOUT_S = env.float("BODY_TIMEOUT_S", 60.0)
MAX_BODY_BYTES = env.int("MAX_BODY_BYTES", 20 * 1024 * 1024)
KEYLESS_BODY_BYTES = env.int("KEYLESS_BODY_BYTES", 1024 * 1024)  # largest body without a valid API key
# All bodies that one web process holds, without the first 64 kB of each (routeplex_site/request_body.py)
BODIES_IN_FLIGHT_BYTES = env.int("BODIES_IN_FLIGHT_BYTES", 128 * 1024 * 1024)
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

# ── Outbound requests to URLs of callers (webhooks) ─────────────────────────────────────────────────────
# Where the operator's own alerts are sent, beside the e-mail addresses of staff; docs/alerts.md
OPERATOR_WEBHOOK_URL = env.str("OPERATOR_WEBHOOK_URL", "")
OPERATOR_WEBHOOK_SECRET = env.str("OPERATOR_WEBHOOK_SECRET", "")
OUTBOUND_ALLOW_HTTP = env.bool("OUTBOUND_ALLOW_HTTP", False)
# Exceptions for hosts of the operator's own network: `host` or `host:port`, http allowed as well.
OUTBOUND_ALLOWED_HOSTS: list[str] = env.list("OUTBOUND_ALLOWED_HOSTS", [])

# ── Documentation ───────────────────────────────────────────────────────────────────────────────────────
# Whether models answer questions at /docs/ask. auto: where a provider is set up, not the simulator.
ASSISTANT = env.str("ASSISTANT", "auto", validate=lambda value: value in ("auto", "on", "off"))
ASSISTANT_DAILY_USD = env.decimal("ASSISTANT_DAILY_USD", Decimal(1), validate=lambda usd: usd >= 0)

# ── People ──────────────────────────────────────────────────────────────────────────────────────────────
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# In simulator mode nothing is spent, so new accounts are unlimited; otherwise they start small.
SIGNUP_PLAN = env.str("SIGNUP_PLAN", "unlimited" if SIMULATOR else "evaluation")
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_FORMS = {"add_email": "accounts.forms.email.ChangeEmailForm"}
ACCOUNT_CHANGE_EMAIL = True  # one address for each person; a new address counts once it is confirmed
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
# Unless an address must be confirmed before signing in, signing up shows which addresses have an account.
ACCOUNT_EMAIL_VERIFICATION = env.str("EMAIL_VERIFICATION", "optional" if SIMULATOR else "mandatory")
# Beside allauth's own: 10 failed sign-ins a minute from an address, and 5 in five minutes into one account
ACCOUNT_RATE_LIMITS = {  # beside allauth's own
    "invite": "20/h/user",  # each is a mail to a stranger
    "ask": "10/m/ip,200/d/ip",  # questions to the assistant
    "support": "5/h/ip",
    "login_failed_anywhere": "100/h/key",  # of one account, from all addresses together
}
ACCOUNT_LOGIN_ON_PASSWORD_RESET = True  # the way in for a person whom strangers' guesses lock out
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if HTTPS else "http"
MFA_ADAPTER = "accounts.adapter.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "RoutePlex"
EMAIL_CONFIG = env.dj_email_url("EMAIL_URL", "console:")
EMAIL_BACKEND = EMAIL_CONFIG["EMAIL_BACKEND"]
EMAIL_HOST = EMAIL_CONFIG["EMAIL_HOST"]
EMAIL_PORT = EMAIL_CONFIG["EMAIL_PORT"]
EMAIL_HOST_USER = EMAIL_CONFIG["EMAIL_HOST_USER"]
EMAIL_HOST_PASSWORD = EMAIL_CONFIG["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS = EMAIL_CONFIG.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = EMAIL_CONFIG.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10  # seconds; a mail server that hangs must not hang a job
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "RoutePlex <routeplex@localhost>")

# ── API ─────────────────────────────────────────────────────────────────────────────────────────────────
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.HasKey"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "routing.doors.registry.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "NUM_PROXIES": 0,  # throttles count by REMOTE_ADDR, which already is the client's address
}
SPECTACULAR_SETTINGS = {
    "TITLE": "RoutePlex",
    "DESCRIPTION": "One API that picks the best model for every chat request.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "GET_LIB_DOC_EXCLUDES": "routing.doors.shared.chat_view.undocumented_bases",
}

# ── Pages ───────────────────────────────────────────────────────────────────────────────────────────────
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"  # filled by collectstatic, which `manage.py run` does
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "routeplex_site.static_files.StaticFiles"},
}
WHITENOISE_USE_FINDERS = True  # what is not collected is served too, under its plain name

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", "WARNING")},
}
