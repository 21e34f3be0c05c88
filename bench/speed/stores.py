"""Where RoutePlex keeps its data while it is measured: SQLite, or PostgreSQL with Redis."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests.chaos.services import Postgres, RedisServer

SQLITE, POSTGRES = "SQLite", "PostgreSQL + Redis"
Settings = dict[str, str]  # environment variables


@contextlib.contextmanager
def store(name: str) -> Iterator[Settings]:
    """RoutePlex's settings for an empty store, which is deleted afterwards.

    PostgreSQL and Redis are those of DATABASE_URL and REDIS_URL, in a database and under keys of their own;
    without the variables, servers are started on the core of this process.
    """
    with tempfile.TemporaryDirectory(prefix="routeplex-speed-") as name_of_directory:
        directory = Path(name_of_directory)
        directory.chmod(0o755)  # PostgreSQL runs as another user
        settings = {"VAR_DIR": str(directory / "var"), "SECRET_KEY": "speed"}
        if name == SQLITE:
            yield settings
        elif os.environ.get("DATABASE_URL"):
            with _database(os.environ["DATABASE_URL"]) as url:
                redis_url = os.environ.get("REDIS_URL", "")
                prefix = f"speed{os.getpid()}"
                yield settings | {"DATABASE_URL": url, "REDIS_URL": redis_url, "REDIS_PREFIX": prefix}
        else:
            with _own_servers(directory) as servers:
                yield settings | servers


@contextlib.contextmanager
def _database(server: str) -> Iterator[str]:
    parts = urlsplit(server)
    name = f"routeplex_speed_{os.getpid()}"
    with psycopg.connect(urlunsplit(parts._replace(scheme="postgresql")), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            yield urlunsplit(parts._replace(path=f"/{name}"))
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@contextlib.contextmanager
def _own_servers(directory: Path) -> Iterator[Settings]:
    postgres, redis = Postgres(directory / "postgres"), RedisServer(directory)
    postgres.create()
    postgres.start()
    try:
        redis.start()
        yield {"DATABASE_URL": postgres.url(), "REDIS_URL": redis.url}
    finally:
        redis.kill()
        postgres.stop("immediate")
        shutil.rmtree(directory / "postgres", ignore_errors=True)
