"""E-mail over real SMTP.

The Message-ID is made of the step's own key, so a mail that was sent twice is seen to be the same
one.
"""

import asyncio
import hashlib
import smtplib
from dataclasses import dataclass
from email.message import EmailMessage

from demo_app.calls import Call
from demo_app.effects import Effects

SMTP_TIMEOUT_S = 10.0
SENDER = "hello@demo.invalid"


@dataclass(frozen=True)
class Mailer:
    """Sends through the SMTP server at host and port."""

    host: str
    port: int

    async def send_once(
        self, effects: Effects, call: Call, to: str, subject: str, text: str
    ) -> dict[str, str]:
        """Send one mail for this step; gives `{messageId, to}`.

        Raises OSError or smtplib.SMTPException when the server did not take it.
        """
        message = EmailMessage()
        message["Message-ID"] = message_id(call.own_key)
        message["From"] = SENDER
        message["To"] = to
        message["Subject"] = subject
        message.set_content(text)

        async def send() -> dict[str, str]:
            await asyncio.to_thread(self._send, message)
            return {"messageId": str(message["Message-ID"]), "to": to}

        sent: dict[str, str] = await effects.once_outside(call, send)
        return sent

    def _send(self, message: EmailMessage) -> None:
        with smtplib.SMTP(self.host, self.port, timeout=SMTP_TIMEOUT_S) as server:
            server.send_message(message)


def message_id(own_key: str) -> str:
    """The Message-ID of the mail which the step with this key sends."""
    return f"<{hashlib.sha256(own_key.encode()).hexdigest()[:32]}@demo.invalid>"
