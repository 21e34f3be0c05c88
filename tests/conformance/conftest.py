"""Keys that some clients are to be refused with, and the published clients for Node."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

NODE = Path(__file__).parent / "node"


@pytest.fixture
def key_with(account: Any) -> Callable[..., str]:
    """Makes a key of the account with given limits, e.g. `key_with(limits=Limits(requests_per_minute=1))`."""
    from accounts.keys import create_key

    def make(**fields: Any) -> str:
        return create_key(account, "special", **fields)[1]

    return make


@pytest.fixture
def expired_key(account: Any) -> str:
    from accounts.keys import create_key
    from accounts.models import ApiKey

    key, secret = create_key(account, "expired")
    ApiKey.objects.filter(pk=key.pk).update(expires_at=datetime.now(UTC) - timedelta(days=1))
    return secret


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clients installed from their lock, once a run."""
    home = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", "calls.mjs", "helpers.mjs"):
        (home / name).write_text((NODE / name).read_text())
    command = [Path(sys.executable).parent / "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(command, cwd=home, check=True, capture_output=True, timeout=120)
    return home
