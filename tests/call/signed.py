"""What an endpoint got, and whether Standard Webhooks' own package takes it."""

from __future__ import annotations

import base64

from standardwebhooks import Webhook

from tests.call.scripted_server import ScriptedServer

OLD, NEW = b"o" * 24, b"n" * 64


def verifying(secret: bytes) -> Webhook:
    """Standard Webhooks' own, with a secret as people have it."""
    return Webhook(f"whsec_{base64.b64encode(secret).decode()}")


def received(server: ScriptedServer, number: int = -1) -> tuple[dict[str, str], bytes]:
    """Headers, names in lower case, and body of a request that the endpoint got."""
    head, _, body = server.requests[number].partition(b"\r\n\r\n")
    lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:]]
    return {name.lower(): value for name, _, value in lines}, body
