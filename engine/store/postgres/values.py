"""Values on their way to PostgreSQL and back.

Text cannot hold a NUL there: it is kept, and looked for, as U+FFFD.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, overload

BOOL, BYTEA, INT8, INT2, INT4, TEXT, FLOAT8, NUMERIC, VOID = 16, 17, 20, 21, 23, 25, 701, 1700, 2278
NAME, OID, JSON, VARCHAR, REGCLASS, CHAR = 19, 26, 114, 1043, 2205, 18
"""Types, by the numbers that PostgreSQL gives them for ever (`pg_type.dat`)."""
INT8_ARRAY, TEXT_ARRAY, BYTEA_ARRAY = 1016, 1009, 1001
ELEMENT = {INT8_ARRAY: INT8, TEXT_ARRAY: TEXT, BYTEA_ARRAY: BYTEA}
NULL = b"\xff\xff\xff\xff"
"""The length of what is not there."""
TEXTUAL, BINARY = 0, 1


class Param(NamedTuple):
    """A value as it travels."""

    type: int
    """0: the server knows by what it is compared with or written to."""
    data: bytes | None
    format: int = BINARY


def text_bytes(value: str) -> bytes:
    """As UTF-8. Raises UnicodeEncodeError for half a surrogate."""
    return value.replace("\0", "\ufffd").encode()


def int8(value: int) -> Param:
    """Of 64 bits. Raises struct.error for a larger one."""
    return Param(INT8, struct.pack("!q", value))


def text(value: str) -> Param:
    """A string."""
    return Param(TEXT, text_bytes(value))


def plain(value: str | int | bytes | None) -> Param:
    """One whose type the server finds out."""
    if value is None:
        return Param(0, None)
    if isinstance(value, bytes):
        return Param(0, value)
    if isinstance(value, str):
        return Param(0, text_bytes(value), TEXTUAL)
    return Param(0, b"%d" % value, TEXTUAL)


def array(type: int, values: Sequence[Any]) -> Param:
    """Values of one kind, some of them None, as an array of this type."""
    if type == INT8_ARRAY:
        pack = struct.Struct("!iq").pack
        parts = [NULL if value is None else pack(8, value) for value in values]
    else:
        pack, parts = struct.Struct("!i").pack, []
        for value in values:
            if value is None:
                parts.append(NULL)
                continue
            data = text_bytes(value) if type == TEXT_ARRAY else value
            parts += (pack(len(data)), data)
    has_null = None in values
    head = struct.pack("!iiiii", 1, has_null, ELEMENT[type], len(values), 1)
    return Param(
        type, head + b"".join(parts) if values else struct.pack("!iii", 0, 0, ELEMENT[type])
    )


def _whole(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def _numeric(data: bytes) -> int | float:
    count, weight, sign, scale = struct.unpack_from("!hhHh", data)
    digits = struct.unpack_from(f"!{count}h", data, 8)
    places = [(weight - at, digit) for at, digit in enumerate(digits)]
    if scale == 0:
        value: int | float = sum(digit * 10_000**at for at, digit in places)
    else:
        value = sum(digit * 10_000.0**at for at, digit in places)
    return -value if sign == 0x4000 else value


_DECODERS: dict[int, Callable[[bytes], Any]] = {
    BOOL: lambda data: data != b"\0",
    BYTEA: bytes,
    **dict.fromkeys((INT2, INT4, INT8, OID), _whole),
    **dict.fromkeys((TEXT, NAME, JSON, VARCHAR, CHAR), lambda data: data.decode()),
    FLOAT8: lambda data: struct.unpack("!d", data)[0],
    NUMERIC: _numeric,
    VOID: lambda data: None,
}


def _decoder(type: int) -> Callable[[bytes], Any]:
    try:
        return _DECODERS[type]
    except KeyError:
        raise TypeError(
            f"PostgreSQL's type {type} is not read here: the statement casts it"
        ) from None


class Result(Protocol):
    """What of `psycopg.pq.PGresult` is read."""

    @property
    def ntuples(self) -> int: ...
    @property
    def nfields(self) -> int: ...
    @property
    def command_tuples(self) -> int | None: ...
    def fname(self, column_number: int) -> bytes | None: ...
    def ftype(self, column_number: int) -> int: ...
    def get_value(self, row_number: int, column_number: int) -> bytes | None: ...


class Row:
    """A row, by the places and by the names of its columns."""

    __slots__ = ("_places", "_values")

    def __init__(self, places: dict[str, int], values: tuple[Any, ...]) -> None:
        self._places, self._values = places, values

    @overload
    def __getitem__(self, key: int | str) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, key: int | str | slice) -> Any:
        return self._values[self._places[key] if isinstance(key, str) else key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def keys(self) -> list[str]:
        """The names of its columns."""
        return list(self._places)


class Found:
    """What a statement has found, all of it, and how many rows it found or changed."""

    def __init__(self, result: Result) -> None:
        count = result.nfields
        self.rowcount = result.command_tuples or 0
        names = [(result.fname(at) or b"").decode() for at in range(count)]
        decoders = [_decoder(result.ftype(at)) for at in range(count)]
        places = {name: at for at, name in reversed(list(enumerate(names)))}
        places = {name: places[name] for name in names}  # of two of one name the first
        self._rows = [
            Row(places, tuple(
                None if (data := result.get_value(row, at)) is None else decode(data)
                for at, decode in enumerate(decoders)
            ))
            for row in range(result.ntuples)
        ]  # fmt: skip
        self._next = 0

    def fetchone(self) -> Row | None:
        """The next row; None: there is none."""
        row = self._rows[self._next] if self._next < len(self._rows) else None
        self._next += 1
        return row

    def fetchall(self) -> list[Row]:
        """The rows from the next on."""
        rows, self._next = self._rows[self._next :], len(self._rows)
        return rows

    def __iter__(self) -> Iterator[Row]:
        return iter(self.fetchall())

    def close(self) -> None:
        """Nothing is kept open."""
