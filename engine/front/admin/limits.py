"""`/api/v1/limits`: what clients and hosts may take. `protocol.md` §6."""

from __future__ import annotations

import msgspec

from engine.core.errors import Problem, Refused
from engine.registry.limits import LimitKind, SetLimits
from engine.wire import limits as wire

_decode_set = msgspec.json.Decoder(wire.LimitsRequest).decode
_decode_reset = msgspec.json.Decoder(wire.ResetRequest).decode


def limits_list(limits: SetLimits) -> wire.LimitsList:
    """All of which something is set."""
    return wire.LimitsList(tuple(_row(limits, *key) for key in limits.all))


async def set_limits(limits: SetLimits, body: bytes, actor: str) -> wire.LimitsRow:
    """`POST /api/v1/limits`. Raises Refused."""
    try:
        asked = _decode_set(body)
    except msgspec.DecodeError as error:
        raise Refused(Problem.INVALID_REQUEST, f"{error}.") from error
    kind = LimitKind(asked.kind)
    return _row(limits, kind, await limits.set(kind, asked.name, asked.set, actor))


async def reset_limits(limits: SetLimits, body: bytes, actor: str) -> wire.LimitsRow:
    """`POST /api/v1/limits/reset`. Raises Refused."""
    try:
        asked = _decode_reset(body)
    except msgspec.DecodeError as error:
        raise Refused(Problem.INVALID_REQUEST, f"{error}.") from error
    kind = LimitKind(asked.kind)
    return _row(limits, kind, await limits.reset(kind, asked.name, actor))


def _row(limits: SetLimits, kind: LimitKind, name: str) -> wire.LimitsRow:
    rows = (wire.LimitRow(it.name, it.value, it.set_by) for it in limits.of(kind, name))
    return wire.LimitsRow(kind, name, tuple(rows))
