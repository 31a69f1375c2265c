"""nginx as the page on services has it, with client certificates: its own lines, on other ports."""

from __future__ import annotations

import re
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trustme

from tests.e2e import harness
from tests.loopback import free_port
from tests.walkthrough import blocks

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-as-a-service.md"
NAME = "atomic.internal"
ADDRESS = "127.0.0.2"
"""Of the caller: another one than nginx', which both are this machine's."""
CONFIGURATION = """\
daemon off;
pid {0}/nginx.pid;
error_log {0}/nginx.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {0}/body;
    proxy_temp_path {0}/proxy;
    fastcgi_temp_path {0}/fastcgi;
    uwsgi_temp_path {0}/uwsgi;
    scgi_temp_path {0}/scgi;
{1}
}}
"""


def site(directory: Path, port: int, engine: str) -> str:
    """The page's server, with its two lines for addresses of callers."""
    text = PAGE.read_text()
    (server,) = [block.text for block in blocks(text) if block.language == "nginx"]
    lines = re.findall(r"`(proxy_set_header [^`]+;)`", text)
    assert len(lines) == 2
    for documented, real in (
        ("listen 8443", f"listen 127.0.0.1:{port}"),
        ("http://127.0.0.1:8420", engine),
        ("/etc/ssl/", f"{directory}/"),
        ("proxy_http_version 1.1;", f"proxy_http_version 1.1; {' '.join(lines)}"),
    ):
        assert documented in server
        server = server.replace(documented, real)
    return server


@asynccontextmanager
async def nginx(directory: Path, engine: str) -> AsyncIterator[int]:
    """It, on a port of its own."""
    port = free_port()
    file = directory / "nginx.conf"
    file.write_text(CONFIGURATION.format(directory, site(directory, port, engine)))
    command = ("nginx", "-p", str(directory), "-c", str(file), "-e", f"{directory}/nginx.log")
    process = subprocess.Popen(command)
    try:

        async def listens() -> bool:
            assert process.poll() is None, (directory / "nginx.log").read_text()
            try:
                await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
            except OSError:
                return False
            return True

        await harness.eventually_async(listens)
        yield port
    finally:
        process.terminate()
        process.wait()


def certificates(directory: Path) -> ssl.SSLContext:
    """nginx' own, whose clients it takes, and the context of one of them."""
    own, of_clients = trustme.CA(), trustme.CA()
    server, client = own.issue_cert(NAME), of_clients.issue_cert("billing")
    server.private_key_pem.write_to_path(directory / "atomic.key")
    for number, pem in enumerate(server.cert_chain_pems):
        pem.write_to_path(directory / "atomic.crt", append=number > 0)
    of_clients.cert_pem.write_to_path(directory / "clients-ca.crt")
    context = ssl.create_default_context()
    own.configure_trust(context)
    client.configure_cert(context)
    return context


async def follow(port: int, context: ssl.SSLContext) -> None:
    """The event stream, to its first event: which a proxy that buffers would keep."""
    tcp = await trio.open_tcp_stream("127.0.0.1", port)
    async with trio.SSLStream(tcp, context, server_hostname=NAME, https_compatible=True) as stream:
        await stream.send_all(f"GET /api/v1/events HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        came = b""
        with trio.fail_after(harness.PATIENCE_S):
            while b"event: heartbeat" not in came:
                came += await stream.receive_some()


@pytest.mark.system
@pytest.mark.slow
async def test_the_engine_behind_the_pages_nginx(tmp_path: Path) -> None:
    """Who has a certificate posts, waits, and follows the events as they come; where an action came
    from is recorded. Who has none comes no further than nginx."""
    context = certificates(tmp_path)
    settings: dict[str, Any] = {"hosts": [NAME], "behind_proxy": ["127.0.0.1/32"]}
    with harness.running(tmp_path, **harness.SETTINGS, **settings) as engine:
        async with (
            harness.application(fine=harness.fine) as app,
            nginx(tmp_path, engine.url) as port,
        ):
            url, at = f"https://{NAME}:{port}", {"Host": NAME}
            transport = httpx.AsyncHTTPTransport(verify=context, local_address=ADDRESS)
            mounts = {"all://": Resolved(transport, port)}
            async with httpx.AsyncClient(base_url=url, mounts=mounts, headers=at) as http:
                caller = harness.Client(http, "shop")
                assert (await caller.post(app.at("fine"), "k")).status_code == 200
                await follow(port, context)
                (run,) = (await caller.read("/runs"))["runs"]
                done = await caller.act(run["id"], "dismiss")
                assert done.status_code in (202, 409), done.text
                held = await http.post("/api/v1/holds", json={"kind": "client", "name": "shop"})
                assert held.json()["address"] == ADDRESS
            with_none = httpx.AsyncHTTPTransport(verify=False)
            mounts = {"all://": Resolved(with_none, port)}
            async with httpx.AsyncClient(base_url=url, mounts=mounts, headers=at) as stranger:
                answer = await stranger.get("/api/v1/status")
                assert answer.status_code == 400
                assert "nginx" in answer.text


class Resolved(httpx.AsyncBaseTransport):
    """Asks loopback whatever the name is, by which the certificate is checked."""

    def __init__(self, transport: httpx.AsyncHTTPTransport, port: int) -> None:
        self._transport, self._port = transport, port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The request, to this machine."""
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        request.extensions["sni_hostname"] = NAME
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        """With its connections."""
        await self._transport.aclose()
