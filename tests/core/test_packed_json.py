"""Packed documents read as the JSON they stand for, and compressed JSON from before stays readable."""

import zlib

import msgspec
import numpy as np
import pytest

from core.packed_json import Choices, Decimals, Same, Table, decode, encode, shared_columns


def table() -> Table:
    return Table(
        shared_columns(("name", "cost", "share", "why", "up"), {"name": ["a", "b", "c"]}),
        {
            "cost": np.array([0.5, np.nan, np.inf]),
            "share": Decimals(np.array([1234, 1, 9999], np.uint16), 4),
            "why": Choices(np.array([0, 1, 1], np.uint8), (None, {"code": "context"})),
            "up": Same(True),
        },
        np.array([2, 0], np.uint16),
    )


def test_a_table_reads_as_objects_in_the_order_of_its_rows() -> None:
    assert decode(encode({"candidates": table(), "n": 2})) == {
        "candidates": [
            {"name": "c", "cost": None, "share": 0.9999, "why": {"code": "context"}, "up": True},
            {"name": "a", "cost": 0.5, "share": 0.1234, "why": None, "up": True},
        ],
        "n": 2,
    }


def test_the_fields_of_an_object_keep_their_order() -> None:
    [first, _] = decode(encode(table()))
    assert list(first) == ["name", "cost", "share", "why", "up"]


def test_decimals_are_the_numbers_that_were_rounded() -> None:
    rounded = np.round(np.random.default_rng(1).uniform(0, 1, 5000), 4)
    column = Decimals(np.rint(rounded * 10_000).astype(np.uint16), 4)
    packed = encode(Table(shared_columns(("p",), {}), {"p": column}, np.arange(5000)))
    assert [row["p"] for row in decode(packed)] == rounded.tolist()


def test_compressed_json_from_before_stays_readable() -> None:
    document = {"reason": "Équité", "candidates": [{"arm": "a@low", "cost_usd": None}]}
    assert decode(zlib.compress(msgspec.json.encode(document), 1)) == document


@pytest.mark.parametrize("document", [{}, [], "trace", {"a": [1, 2.5, None, {"b": True}]}])
def test_any_json_document_can_be_packed(document: object) -> None:
    assert decode(encode(document)) == document


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="object"):
        encode({"a": object()})
