"""JSON documents as MessagePack, with long lists of alike objects packed column by column.

A decision's candidates are some 170 objects of 19 fields. As arrays they are encoded in microseconds and take
a tenth of the space, so they become objects only when somebody reads them.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

_FORMAT = b"\x01"  # the first byte of a packed document
_TABLE = 1  # the extension type of a table

Values = npt.NDArray[Any]


class Decimals(msgspec.Struct, frozen=True):
    """A column of numbers with so many decimals, stored as integers: 0.1234 with 4 decimals is 1234."""

    integers: Values
    decimals: int


class Choices(msgspec.Struct, frozen=True):
    """A column of few distinct values: each row has the place of its value in `values`."""

    places: Values
    values: Sequence[Any]


class Same(msgspec.Struct, frozen=True):
    """A column with one value in all rows."""

    value: Any


Column = Values | Decimals | Choices | Same  # a number that is not finite is null


class Table:
    """A list of objects with the same fields.

    `shared`: the fields' names and the columns that many documents have in common, from `shared_columns`.
    `columns`: the others, with the same number of rows. `rows`: the rows that are in the list, in its order.
    """

    __slots__ = ("columns", "rows", "shared")

    def __init__(self, shared: bytes, columns: Mapping[str, Column], rows: Values) -> None:
        self.shared, self.columns, self.rows = shared, columns, rows


def shared_columns(fields: Sequence[str], columns: Mapping[str, Sequence[Any]]) -> bytes:
    """Return the shared part of tables. `fields`: the names of all fields, in the order of the objects'."""
    return zlib.compress(msgspec.msgpack.encode((fields, columns)))


def encode(document: Any) -> bytes:
    """Return a document that may contain tables as bytes."""
    return _FORMAT + _encoder.encode(document)


def decode(packed: bytes) -> Any:
    """Return the document as plain dicts and lists; also one stored as compressed JSON."""
    if packed[:1] == _FORMAT:
        return _decoder.decode(memoryview(packed)[1:])
    return msgspec.json.decode(zlib.decompress(packed))


class _Stored(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """A column as it is stored. `kind`: the type of the numbers in `data`, as numpy writes it."""

    kind: str
    data: bytes
    decimals: int | None = None
    values: Sequence[Any] | None = None


class _StoredTable(msgspec.Struct, frozen=True, array_like=True):
    shared: bytes
    columns: dict[str, _Stored]
    rows: _Stored


def _pack(value: Any) -> Any:
    if not isinstance(value, Table):
        raise NotImplementedError(f"A packed document cannot contain {type(value).__name__}.")
    columns = {name: _stored(column) for name, column in value.columns.items()}
    table = _StoredTable(value.shared, columns, _stored(value.rows))
    return msgspec.msgpack.Ext(_TABLE, msgspec.msgpack.encode(table))


def _stored(column: Column) -> _Stored:
    match column:
        case Decimals():
            return _Stored(column.integers.dtype.str, column.integers.tobytes(), column.decimals)
        case Choices():
            return _Stored(column.places.dtype.str, column.places.tobytes(), None, column.values)
        case Same():
            return _Stored("", b"", None, (column.value,))
        case _:
            return _Stored(column.dtype.str, column.tobytes())


def _unpack(code: int, data: memoryview) -> Any:
    if code != _TABLE:
        raise ValueError(f"A packed document has an extension of the unknown type {code}.")
    table = msgspec.msgpack.decode(data, type=_StoredTable)
    fields, columns = msgspec.msgpack.decode(zlib.decompress(table.shared))
    rows = _values(table.rows, 0)
    n = max(rows, default=-1) + 1
    columns |= {name: _values(column, n) for name, column in table.columns.items()}
    ordered = [columns[name] for name in fields]
    return [dict(zip(fields, [column[row] for column in ordered], strict=True)) for row in rows]


def _values(column: _Stored, n: int) -> list[Any]:
    """The column's values as JSON has them. `n`: the number of rows, for a column that does not tell."""
    if not column.kind:
        return list(column.values or ()) * n
    numbers = np.frombuffer(column.data, column.kind)
    if column.values is not None:
        return [column.values[place] for place in numbers.tolist()]
    if column.decimals is not None:
        return (numbers / 10**column.decimals).tolist()  # type: ignore[no-any-return]
    if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
        return [number if np.isfinite(number) else None for number in numbers.tolist()]
    return numbers.tolist()  # type: ignore[no-any-return]


_encoder = msgspec.msgpack.Encoder(enc_hook=_pack)
_decoder = msgspec.msgpack.Decoder(ext_hook=_unpack)
