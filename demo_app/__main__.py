"""`python -m demo_app`: the application as a process of its own."""

import argparse
import asyncio
import os
import signal
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from demo_app.app import Settings, open_app
from demo_app.carrier import Carrier
from demo_app.listener import Listener, serve
from demo_app.scenario import draw_faults


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m demo_app", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000, help="0 takes a free one (default 9000)")
    parser.add_argument("--url", help="where the engine reaches us, if not at host and port")
    parser.add_argument(
        "--engine",
        default=os.environ.get("ATOMIC_URL") or "http://127.0.0.1:8420",
        help="URL of the engine (default ATOMIC_URL)",
    )
    parser.add_argument(
        "--client",
        default=os.environ.get("ATOMIC_CLIENT") or "demo",
        help="our name at the engine (default ATOMIC_CLIENT, else demo)",
    )
    parser.add_argument("--data", type=Path, required=True, help="directory for the databases")
    parser.add_argument(
        "--smtp", metavar="HOST:PORT", help="mail server; default: our own, kept in DATA/mail"
    )
    parser.add_argument(
        "--carrier-port",
        type=int,
        metavar="PORT",
        help="give the carrier a port of its own, so that it can be away (0: any that is free)",
    )
    parser.add_argument("--scenario", type=int, metavar="SEED", help="draw faults from this seed")
    parser.add_argument(
        "--crashes", action="store_true", help="draw crashes too: who started us starts us again"
    )
    return parser.parse_args(argv)


def file_named(variable: str) -> Path | None:
    """The file of a secret, which neither the command line nor a variable should hold."""
    path = os.environ.get(variable)
    return Path(path) if path else None


async def run(arguments: argparse.Namespace) -> None:
    """Serve until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        if arguments.smtp is None:
            from demo_app.smtp import keep_mail

            smtp = "127.0.0.1", await stack.enter_async_context(keep_mail(arguments.data / "mail"))
        else:
            smtp_host, _, smtp_port = arguments.smtp.rpartition(":")
            smtp = smtp_host, int(smtp_port)
        listener = stack.enter_context(Listener(arguments.host, arguments.port))
        host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
        listens_at = f"http://{host}:{listener.port}"
        carrier = None
        if arguments.carrier_port is not None:
            carrier = Carrier(arguments.host, arguments.carrier_port)
        draw = None
        if arguments.scenario is not None:
            draw = partial(draw_faults, arguments.scenario, crashes=arguments.crashes)
        settings = Settings(
            engine_url=arguments.engine.rstrip("/"),
            client=arguments.client,
            data=arguments.data,
            smtp=smtp,
            own_url=arguments.url or listens_at,
            draw=draw,
            token_file=file_named("ATOMIC_TOKEN_FILE"),
            secret_file=file_named("ATOMIC_SIGNING_SECRET_FILE"),
            may_crash=True,
            carrier=carrier,
        )
        app = await stack.enter_async_context(open_app(settings, listener))
        listener.listen()  # from here on connections wait for us, so the line below is true
        print(f"demo_app listening on {listens_at}", flush=True)
        async with asyncio.TaskGroup() as servers:
            servers.create_task(serve(app, listener, stop.wait))
            if carrier is not None:
                servers.create_task(carrier.run(app, stop.wait))


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    asyncio.run(run(parse_arguments(argv)))


if __name__ == "__main__":
    main()
