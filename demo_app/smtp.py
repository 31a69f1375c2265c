"""The local SMTP server: a real one (aiosmtpd) that keeps every message in a Maildir to look at.

`python -m demo_app.smtp --port 1025 --maildir mail`, or inside another asyncio program by
`keep_mail`.
"""

import argparse
import asyncio
import mailbox
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP


@asynccontextmanager
async def keep_mail(maildir: Path, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Serve SMTP while the block runs; gives the port that was bound.

    A message is on disk (synced) before it is acknowledged.
    """
    maildir.parent.mkdir(parents=True, exist_ok=True)
    handler = Mailbox(maildir)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="demo.invalid", loop=loop), host, port
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def messages(maildir: Path) -> list[mailbox.MaildirMessage]:
    """Every message kept, oldest first (a Maildir's keys begin with the time)."""
    if not maildir.is_dir():
        return []
    box = mailbox.Maildir(maildir, create=False)
    return [box[key] for key in sorted(box.keys())]


def count_by_message_id(maildir: Path) -> dict[str, int]:
    """How often each Message-ID was received: more than once is a doubled mail."""
    return dict(Counter(str(message["Message-ID"]) for message in messages(maildir)))


async def _run(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with keep_mail(arguments.maildir, arguments.host, arguments.port) as port:
        print(f"demo_app.smtp listening on {arguments.host}:{port}", flush=True)
        await stop.wait()


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m demo_app.smtp", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1025, help="0 takes a free one (default 1025)")
    parser.add_argument("--maildir", type=Path, required=True, help="where messages are kept")
    asyncio.run(_run(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
