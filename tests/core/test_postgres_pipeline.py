"""Statements go to PostgreSQL together, and are answered in their order."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from core.postgres_pipeline import PostgresPipeline


@pytest.fixture
async def pipeline(db: None) -> AsyncIterator[PostgresPipeline]:
    connected = await PostgresPipeline.connect(_options(), "SET application_name = 'pipeline'")
    yield connected
    await connected.close()


def _options() -> dict[str, Any]:
    from django.db import connection

    options = connection.get_connection_params()
    return {name: options[name] for name in ("dbname", "user", "password", "host", "port") if name in options}


async def test_each_statement_gets_its_own_rows(pipeline: PostgresPipeline) -> None:
    for number in range(200):
        pipeline.send("SELECT %s::int, NULL, generate_series(1, 2)", [str(number)])
    expected = [[(b"%d" % number, None, b"1"), (b"%d" % number, None, b"2")] for number in range(200)]
    assert await pipeline.sync() == expected


async def test_a_statement_is_executed_again(pipeline: PostgresPipeline) -> None:
    for word in ("first", "second"):
        pipeline.send("SELECT %s::text", [word])
        assert await pipeline.sync() == [[(word.encode(),)]]


async def test_the_connection_is_set_up_first(pipeline: PostgresPipeline) -> None:
    pipeline.send("SELECT current_setting('application_name')")
    assert await pipeline.sync() == [[(b"pipeline",)]]


async def test_statements_after_a_failed_one_are_not_executed(pipeline: PostgresPipeline) -> None:
    pipeline.send("CREATE TEMPORARY TABLE written (n int)")
    await pipeline.sync()
    pipeline.send("SELECT 1 / %s::int", ["0"])
    pipeline.send("INSERT INTO written VALUES (%s::int)", ["1"])
    with pytest.raises(psycopg.errors.DivisionByZero, match="division by zero"):
        await pipeline.sync()
    pipeline.send("SELECT count(*) FROM written")
    assert await pipeline.sync() == [[(b"0",)]]


async def test_an_invalid_statement_fails(pipeline: PostgresPipeline) -> None:
    pipeline.send("SELECT nothing FROM nowhere")
    with pytest.raises(psycopg.errors.UndefinedTable):
        await pipeline.sync()


async def test_statements_between_two_waits_are_one_transaction(pipeline: PostgresPipeline) -> None:
    pipeline.send("CREATE TEMPORARY TABLE together (n int)")
    pipeline.send("SELECT 1 / %s::int", ["0"])
    with pytest.raises(psycopg.errors.DivisionByZero):
        await pipeline.sync()
    pipeline.send("SELECT to_regclass('pg_temp.together')")
    assert await pipeline.sync() == [[(None,)]]


async def test_values_larger_than_the_sockets_buffers_are_sent(pipeline: PostgresPipeline) -> None:
    for _ in range(3):
        pipeline.send("SELECT length(%s::text)", ["x" * 20_000_000])
    assert await asyncio.wait_for(pipeline.sync(), 30) == [[(b"20000000",)]] * 3


async def test_a_lost_connection_fails_who_waits_for_it(pipeline: PostgresPipeline) -> None:
    pipeline.send("SELECT pg_backend_pid()")
    [[(pid,)]] = await pipeline.sync()
    pipeline.send("SELECT pg_sleep(60)")
    waiting = asyncio.create_task(pipeline.sync())
    async with await psycopg.AsyncConnection.connect(**_options(), autocommit=True) as other:
        await other.execute("SELECT pg_terminate_backend(%s)", [int(pid or 0)])
    with pytest.raises(psycopg.OperationalError, match="terminating connection"):
        await asyncio.wait_for(waiting, 30)


async def test_a_connection_lost_while_idle_fails_the_next_wait(pipeline: PostgresPipeline) -> None:
    pipeline.send("SELECT pg_backend_pid()")
    [[(pid,)]] = await pipeline.sync()
    async with await psycopg.AsyncConnection.connect(**_options(), autocommit=True) as other:
        await other.execute("SELECT pg_terminate_backend(%s, 5000)", [int(pid or 0)])
    await asyncio.sleep(0.1)
    with pytest.raises(psycopg.OperationalError):
        await asyncio.wait_for(pipeline.sync(), 30)
