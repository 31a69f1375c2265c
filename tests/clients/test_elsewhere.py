"""A step that is another application's: the option that says its URL, in each language's helper."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from tests.clients.applications import CLIENTS

URL = "http://shipping:9000/labels"
PROGRAMS = {
    "python": (
        "program.py",
        f"""
from atomic import post_workflow
post_workflow("w", "/mine", "k", 1, stepInvokeUrl="{URL}")
""",
    ),
    "typescript": (
        "program.mjs",
        f"""
import {{ postWorkflow }} from "./dist/atomic.js";
await postWorkflow("w", "/mine", "k", 1, {{ stepInvokeUrl: "{URL}" }});
""",
    ),
    "go": (
        "program.go",
        f"""package main

import "os"

func init() {{
	PostWorkflow(nil, "w", "/mine", "k", 1, map[string]any{{"stepInvokeUrl": "{URL}"}})
	os.Exit(0)
}}
""",
    ),
    "php": (
        "program.php",
        f"""<?php require 'atomic.php';
postWorkflow('w', '/mine', 'k', 1, ['stepInvokeUrl' => '{URL}']);
""",
    ),
}


def command(language: str, directory: Path, built: Path) -> list[str]:
    """What runs the program."""
    name, text = PROGRAMS[language]
    for source in (CLIENTS / language).iterdir():
        if source.suffix in (".py", ".php", ".go", ".mod"):
            (directory / source.name).write_bytes(source.read_bytes())
    (directory / name).write_text(text)
    if language == "typescript":
        compiled = next(it for it in built.rglob("atomic.*js") if "node_modules" not in it.parts)
        (directory / name).write_text(text.replace("./dist/atomic.js", str(compiled)))
        return ["node", name]
    if language == "go":
        return ["go", "run", "."]
    return [{"python": sys.executable, "php": "php"}[language], name]


def test_a_step_is_posted_under_the_url_that_is_said(
    language: str, built: Path, tmp_path: Path
) -> None:
    """In the place of this application's, all else as ever."""
    posted: list[dict[str, object]] = []

    class Engine(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            answer = b'{"id":"1","response":1}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Engine) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            done = subprocess.run(
                command(language, tmp_path, built),
                cwd=tmp_path,
                env={**os.environ, "ATOMIC_URL": f"http://127.0.0.1:{server.server_port}"},
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            server.shutdown()
            thread.join()
    assert done.returncode == 0, done.stderr
    assert posted == [
        {"workflowName": "w", "stepInvokeUrl": URL, "idempotencyKey": "k", "payload": 1}
    ]
