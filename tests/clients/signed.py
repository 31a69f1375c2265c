"""Calls as an engine signs them, and as others might: for those who verify them."""

from __future__ import annotations

import base64
import hmac
import json
import time

from tests.clients.shop import USER

TOKENS = [f"atomic_{number}0123456789abcdefghijklmnopqrstuvwxyzABCDEF" for number in range(3)]
NEW, OLD, OTHER = (f"whsec_{base64.b64encode(bytes([n]) * 32).decode()}" for n in (1, 2, 3))
STEP = "/workflows/userCreation/steps/createUser"
BODY = json.dumps({"idempotencyKey": "k", "payload": USER | {"userName": "ädä"}}).encode()


def signature(secret: str, at: str, body: bytes = BODY, key: str = "own") -> str:
    """As Standard Webhooks has it."""
    signed = f"{key}.{at}.".encode() + body
    digest = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), signed, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


def calls() -> dict[str, tuple[int, dict[str, str]]]:
    """What may reach the application, with the status that it is to answer."""
    now = int(time.time())
    no_key = (
        f"v1,{base64.b64encode(hmac.digest(b'', f'own.{now}.'.encode() + BODY, 'sha256')).decode()}"
    )
    asked = {
        "the new secret": (200, now, signature(NEW, f"{now}")),
        "the old secret": (200, now, signature(OLD, f"{now}")),
        "two signatures": (200, now, f"{signature(OTHER, f'{now}')} {signature(OLD, f'{now}')}"),
        "a minute late": (200, now - 60, signature(NEW, f"{now - 60}")),
        "another secret": (401, now, signature(OTHER, f"{now}")),
        "another body": (401, now, signature(NEW, f"{now}", BODY + b" ")),
        "another key": (401, now, signature(NEW, f"{now}", key="other")),
        "another time": (401, now + 1, signature(NEW, f"{now}")),
        "six minutes late": (401, now - 360, signature(NEW, f"{now - 360}")),
        "six minutes early": (401, now + 360, signature(NEW, f"{now + 360}")),
        "no time": (401, "", signature(NEW, "")),
        "no signature": (401, now, ""),
        "no key at all": (401, now, no_key),
        "another version": (401, now, signature(NEW, f"{now}").replace("v1,", "v2,")),
    }
    given = {
        name: (status, {"webhook-timestamp": f"{at}", "webhook-signature": signed})
        for name, (status, at, signed) in asked.items()
    }
    return {**given, "nothing": (401, {})}
