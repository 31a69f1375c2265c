"""`/api/v1/limits`: what clients and hosts may take. `protocol.md` §6."""

from __future__ import annotations

import msgspec

from engine.front.asked import decode_asked
from engine.registry.limits import LimitKind, SetLimits
from engine.wire import limits as wire

_decode_set = msgspec.json.Decoder(wire.LimitsRequest).decode
_decode_reset = msgspec.json.Decoder(wire.ResetRequest).decode


def limits_list(limits: SetLimits) -> wire.LimitsList:
    """All of which something is set."""
    return wire.LimitsList(tuple(_row(limits, *key) for key in limits.all))


async def set_limits(limits: SetLimits, body: bytes, actor: str) -> wire.LimitsRow:
    """`POST /api/v1/limits`. Raises Refused."""
    asked = decode_asked(body, _decode_set, "change of limits")
    kind = LimitKind(asked.kind)
    return _row(limits, kind, await limits.set(kind, asked.name, asked.set, actor))


async def reset_limits(limits: SetLimits, body: bytes, actor: str) -> wire.LimitsRow:
    """`POST /api/v1/limits/reset`. Raises Refused."""
    asked = decode_asked(body, _decode_reset, "change of limits")
    kind = LimitKind(asked.kind)
    return _row(limits, kind, await limits.reset(kind, asked.name, actor))


def _row(limits: SetLimits, kind: LimitKind, name: str) -> wire.LimitsRow:
    rows = (wire.LimitRow(it.name, it.value, it.set_by) for it in limits.of(kind, name))
    return wire.LimitsRow(kind, name, tuple(rows))
