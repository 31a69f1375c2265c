"""Sends one attempt to the application and reports what came of it.

`docs/reference/protocol.md` §3. It judges nothing: whether an outcome ends the step or is
retried is the core's to say. It has no time-out: whoever calls cancels.
"""

from __future__ import annotations

import errno
import math
import re
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import httpx
import msgspec

from engine.call.dial import CalledUrl, DnsError, NoDescriptor, TargetNotAllowed, called_url
from engine.call.policy import CallPolicy, Policies
from engine.call.transport import Answer, LeanTransport
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from engine.core.retry import RETRY_AFTER_MS_MAX
from engine.core.rules.redacted import redacted
from engine.core.target import normalise
from engine.core.text.json_text import declares_json, json_fault
from engine.http.answers import AnswerTooLarge, BadAnswer
from engine.http.tls import TlsError
from engine.ports.caller import SMALL_BYTES_MAX, Invocation

CLOUD_EVENT = "application/cloudevents+json"
"""What is sent without the envelope of a call: CloudEvents 1.0, HTTP binding, structured mode."""
RETRY_AFTER_DIGITS_MAX = 9
_USER_INFO = re.compile(r"//[^/@]*@")
LOCATION_CHARS_MAX = 200
"""Of where a redirect leads, in the error of its attempt."""

HTTP_DATES = (
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %d %H:%M:%S %Y",
)
"""IMF-fixdate, RFC 850 and asctime: a recipient must take all three (RFC 9110 §5.6.7)."""

ERRORS: tuple[tuple[type[httpx.TransportError], CallError], ...] = (
    (TargetNotAllowed, CallError.TARGET_NOT_ALLOWED),
    (NoDescriptor, CallError.NO_DESCRIPTOR),
    (DnsError, CallError.DNS),
    (TlsError, CallError.TLS),
    (httpx.ConnectError, CallError.CONNECTION_REFUSED),
    (AnswerTooLarge, CallError.ANSWER_TOO_LARGE),
    (httpx.RemoteProtocolError, CallError.BAD_ANSWER),
    (httpx.TransportError, CallError.CONNECTION_LOST),
)
"""What each failure of the transport is for the core; the first that fits."""


class HttpCaller:
    """The `EndpointCaller` over HTTP/1.1.

    `version` goes into `User-Agent`. `utc_now` gives seconds since the epoch and is asked only
    when a call is signed, or a `Retry-After` holds a date. `policies`: how each client's steps are
    called; None: at loopback, unsigned.
    """

    def __init__(
        self,
        transport: LeanTransport,
        *,
        version: str,
        utc_now: Callable[[], float],
        policies: Policies | None = None,
    ) -> None:
        self._transport, self._policies = transport, policies
        self._utc_now = utc_now
        _check_header_values(version)
        agent = f"User-Agent: atomic/{version}\r\n"
        self._constant_lines = f"Content-Type: application/json\r\n{agent}"
        self._unwrapped_lines = f"Content-Type: {CLOUD_EVENT}\r\n{agent}".encode("ascii")

    async def call(self, invocation: Invocation) -> Outcome:
        """Send it, once, and report. Raises ValueError for a value that no header may hold."""
        url, flow, own_key = invocation.url, invocation.flow, invocation.step_own_key
        policy = None if self._policies is None else self._policies.of(invocation.client)
        if policy is not None and policy.unwrapped:
            _check_header_values(own_key)
            lines, body = self._unwrapped_lines, [invocation.payload]
        else:
            lines = self._header_lines(invocation)
            body = [
                b'{"idempotencyKey":%b,"payload":'
                % msgspec.json.encode(invocation.idempotency_key),
                invocation.payload,
                b"}",
            ]
        payload: bytes | None = None
        if policy is not None and policy.redaction and len(invocation.payload) <= SMALL_BYTES_MAX:
            payload = invocation.payload  # to know what of it no reason may tell
        del invocation  # its payload is only in `body` now, from where it goes as it is sent
        target: CalledUrl | None = None
        try:
            target = called_url(url)
            if policy is not None:
                _check_listed(policy, url)
                if policy.signer is not None:
                    now_s = int(self._utc_now())
                    lines += await policy.signer.header_lines(own_key, now_s, body)
            answer = await self._transport.exchange(target, lines, body, flow=flow, gate=policy)
        except httpx.TransportError as error:
            may_be_allowed = policy is not None and not policy.unwrapped
            return _unanswered(error, target, may_be_allowed=may_be_allowed)
        outcome = self._outcome(answer, target)
        if policy is not None and policy.redaction is not None:
            return redacted(outcome, policy.redaction, payload)
        return outcome

    def _header_lines(self, invocation: Invocation) -> bytes:
        i = invocation
        _check_header_values(
            *(
                i.step_own_key,
                i.client,
                i.run_id,
                i.step_id,
                i.workflow,
                i.parent_token,
                i.traceparent,
            )
        )
        return (
            f"{self._constant_lines}"
            f"Idempotency-Key: {_structured_string(i.step_own_key)}\r\n"
            f"Atomic-Client: {i.client}\r\n"
            f"Atomic-Run-Id: {i.run_id}\r\n"
            f"Atomic-Step-Id: {i.step_id}\r\n"
            f"Atomic-Workflow: {i.workflow}\r\n"
            f"Atomic-Attempt: {i.attempt}\r\n"
            f"Atomic-Parent: {i.parent_token}\r\n"
            f"traceparent: {i.traceparent}\r\n"
        ).encode("ascii")

    def _outcome(self, answer: Answer, target: CalledUrl) -> Answered:
        fields = answer.fields
        retry_after = fields.get(b"retry-after")
        content_type = fields.get(b"content-type", b"").decode("latin-1")
        suspend = _is_true(fields.get(b"atomic-suspend"))
        is_json, fault = False, None
        if 200 <= answer.status < 300 and answer.body and not suspend:
            is_json = declares_json(content_type)
            fault = _fault(answer, is_json=is_json)
        return Answered(
            answer.status,
            answer.body,
            content_type,
            None if retry_after is None else parse_retry_after(retry_after, self._utc_now),
            _is_true(fields.get(b"atomic-no-retry")),
            suspend,
            is_json and fault is None,
            None if fault is None else f"{fault}, answered by {target.authority}",
            answer.size,
            _location(answer) if 300 <= answer.status < 400 else None,
        )


def _location(answer: Answer) -> str | None:
    """Where a redirect leads (RFC 9110 §10.2.2), for people: without what may be a secret."""
    value = answer.fields.get(b"location")
    if value is None:
        return None
    where = value.decode("latin-1").partition("?")[0].partition("#")[0].strip()
    where = _USER_INFO.sub("//", where)
    shown = "".join(sign if "!" <= sign <= "~" else "?" for sign in where)
    return shown if len(shown) <= LOCATION_CHARS_MAX else f"{shown[:LOCATION_CHARS_MAX]}…"


def _fault(answer: Answer, *, is_json: bool) -> str | None:
    """Why the body of a 2xx cannot be an outcome's response."""
    if answer.fields.get(b"content-encoding", b"").lower() not in (b"", b"identity"):
        return "encoded though identity was asked for"
    if not answer.body.isascii():
        try:
            answer.body.decode()
        except UnicodeDecodeError as error:
            return f"not UTF-8 at byte {error.start}"
    return json_fault(answer.body) if is_json else None


def parse_retry_after(value: bytes, utc_now: Callable[[], float]) -> int | None:
    """Milliseconds from now, rounded up (never early), 0 … `RETRY_AFTER_MS_MAX`.

    Takes seconds or an HTTP-date (RFC 9110 §10.2.3). None for anything else; what lies in the past
    is 0.
    """
    text = value.decode("latin-1").strip()
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit():
        if digits != text:
            return 0
        digits = digits.lstrip("0") or "0"
        if len(digits) > RETRY_AFTER_DIGITS_MAX:  # Python reads no number of thousands of digits
            return RETRY_AFTER_MS_MAX
        return min(RETRY_AFTER_MS_MAX, int(digits) * 1000)
    for form in HTTP_DATES:
        with suppress(ValueError):
            at = datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
            wait_ms = math.ceil((at - utc_now()) * 1000)
            return min(RETRY_AFTER_MS_MAX, max(0, wait_ms))
    return None


class NotListed(TargetNotAllowed):
    """No list has the URL: of its host another path may be listed, so the text names it whole, but
    for what may be a secret."""

    def __init__(self, why: str, url: str) -> None:
        super().__init__(why)
        self.url = url


def _check_listed(policy: CallPolicy, url: str) -> None:
    """The list as it is now: it may have changed since the step was accepted."""
    if (why := policy.why_not_listed(normalise(url))) is not None:
        raise NotListed(why, url.partition("?")[0])


def _unanswered(
    error: httpx.TransportError, target: CalledUrl | None, *, may_be_allowed: bool
) -> Unanswered:
    """`may_be_allowed`: there are lists, so that what is on none may be put on one."""
    kind = next(kind for kinds, kind in ERRORS if isinstance(error, kinds))
    where = error.url if isinstance(error, NotListed) else target.authority if target else ""
    detail = f"{where}: {error}" if where else str(error)
    status = error.http_status if isinstance(error, BadAnswer) else None
    pauses = may_be_allowed and kind is CallError.TARGET_NOT_ALLOWED and target is not None
    return Unanswered(kind, detail, status, f"{error}{_errno(error)}", pauses)


def _errno(error: BaseException) -> str:
    """The system's number for what went wrong, and its name: what one looks up."""
    cause = error.__cause__
    if not isinstance(cause, OSError) or cause.errno is None or isinstance(cause, ssl.SSLError):
        return ""
    if isinstance(cause, socket.gaierror):
        return f" (getaddrinfo {cause.errno})"
    return f" (errno {cause.errno}, {errno.errorcode.get(cause.errno, 'unknown')})"


def _check_header_values(*values: str) -> None:
    """Values come validated; a line end in one would still be a second header, so look again."""
    joined = "".join(values)
    if not joined.isascii() or not joined.isprintable():
        raise ValueError("a header value may hold printable ASCII only")


def _structured_string(text: str) -> str:
    """RFC 8941 §3.3.3: quoted, with backslash and quote escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _is_true(value: bytes | None) -> bool:
    return value is not None and value.strip().lower() == b"true"
