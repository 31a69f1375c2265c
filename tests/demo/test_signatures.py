"""Whether a call is the engine's, and what becomes of one that is not."""

import hmac
import time
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from demo_app.app import Settings, open_app
from demo_app.listener import Listener
from demo_app.signatures import BadSignature, check_signature, read_secrets
from tests.on_asyncio import on_asyncio

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
AT = 1614265330
STEP = b'{"idempotencyKey": "k", "payload": {"userName": "a", "email": "e"}}'
BODY = b'{"test": 2432232314}'
GOOD = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": str(AT),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
"""The vector of the libraries of Standard Webhooks."""


def secrets_of(directory: Path, *lines: str) -> list[bytes]:
    file = directory / "signing"
    file.write_text("\n".join(lines))
    return read_secrets(file)


@pytest.mark.parametrize(
    "headers",
    [
        GOOD,
        GOOD | {"webhook-signature": f"v1,bm90IGl0 {GOOD['webhook-signature']} v1a,x"},
        GOOD | {"webhook-signature": f"ü {GOOD['webhook-signature']}"},
    ],
)
@pytest.mark.parametrize("late_s", [0, 300, -300])
def test_a_good_signature_is_taken(tmp_path: Path, headers: dict[str, str], late_s: int) -> None:
    """One of several, by one secret of two, five minutes early or late."""
    secrets = secrets_of(tmp_path, "# the new one", OTHER, "", SECRET)
    check_signature(secrets, headers, BODY, AT + late_s)


@pytest.mark.parametrize(
    ("headers", "body", "late_s", "told"),
    [
        (GOOD, BODY + b" ", 0, "another secret"),
        (GOOD | {"webhook-id": "msg_other"}, BODY, 0, "another secret"),
        (GOOD | {"webhook-timestamp": str(AT + 1)}, BODY, 0, "another secret"),
        (GOOD | {"webhook-signature": GOOD["webhook-signature"][:-3]}, BODY, 0, "another secret"),
        (GOOD | {"webhook-signature": ""}, BODY, 0, "another secret"),
        (GOOD, BODY, 301, "five minutes off"),
        (GOOD, BODY, -301, "five minutes off"),
        (GOOD | {"webhook-timestamp": "1e9"}, BODY, 0, "five minutes off"),
        (GOOD | {"webhook-timestamp": "9" * 5000}, BODY, 0, "five minutes off"),
        ({}, BODY, 0, "five minutes off"),
    ],
)
def test_anything_else_is_refused(
    tmp_path: Path, headers: dict[str, str], body: bytes, late_s: int, told: str
) -> None:
    """Another body, key, time or secret, or none of it."""
    with pytest.raises(BadSignature, match=told):
        check_signature(secrets_of(tmp_path, SECRET), headers, body, AT + late_s)


def test_another_secret_signs_nothing(tmp_path: Path) -> None:
    """Nor does a file without one take everything, or one that is half written, or what is left of
    one in a comment."""
    no_key = hmac.digest(b"", f"{GOOD['webhook-id']}.{AT}.".encode() + BODY, "sha256")
    headers = GOOD | {"webhook-signature": f"v1,{b64encode(no_key).decode()}"}
    for lines in ([OTHER], [""], ["whsec_"], [f"# {SECRET}"], [f"old {SECRET}"]):
        secrets = secrets_of(tmp_path, *lines)
        with pytest.raises(BadSignature, match="another secret"):
            check_signature(secrets, GOOD, BODY, AT)
        with pytest.raises(BadSignature, match="another secret"):
            check_signature(secrets, headers, BODY, AT)


async def call(directory: Path, secret_file: Path | None, headers: dict[str, str]) -> int:
    """The status that a step of the application answers."""
    with Listener("127.0.0.1", 0) as listener:
        settings = Settings("http://engine", "demo", directory, ("", 0), secret_file=secret_file)
        async with open_app(settings, listener) as app:
            answer = await app.test_client().post(
                "/workflows/userCreation/steps/createUser",
                data=STEP,
                headers={"Idempotency-Key": '"own"'} | headers,
                scope_base={"client": ("127.0.0.1", 1)},
            )
            return answer.status_code


@on_asyncio
async def test_a_call_without_signature_does_nothing(tmp_path: Path) -> None:
    """401 where there is a secret, read at each call; as ever where there is none."""
    file = tmp_path / "signing"
    file.write_text(OTHER)
    at = int(time.time())
    signed = hmac.digest(b64decode(SECRET[6:]), f"own.{at}.".encode() + STEP, "sha256")
    good = {
        "webhook-id": "own",
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{b64encode(signed).decode()}",
    }
    assert await call(tmp_path, file, {}) == 401
    assert await call(tmp_path, file, good) == 401
    file.write_text(f"{OTHER}\n{SECRET}\n")
    assert await call(tmp_path, file, good) == 200
    assert await call(tmp_path, None, {}) == 200
