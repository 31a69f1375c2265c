"""The page on signed calls: its code in each language takes what the engine signs, and no other."""

from __future__ import annotations

import base64
import json
import subprocess
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.call.signing import Signer

PAGE = (Path(__file__).parents[2] / "docs/how-to/verify-callbacks.md").read_text()
KEYS = (b"k" * 24, b"l" * 64)
SECRETS = [f"whsec_{base64.b64encode(key).decode()}\n" for key in KEYS]
BODY = '{"idempotencyKey":"k","payload":{"name":"zoë"}}'.encode()
Verify = Callable[[Path, str, bytes, dict[str, str]], bool]


def code(language: str, number: int = 0) -> str:
    """A block of the page."""
    return PAGE.split(f"```{language}\n")[number + 1].partition("```")[0]


def run(directory: Path, *command: str, given: object = None) -> bool:
    """What a program says of what it is given as JSON."""
    text = json.dumps(given)
    done = subprocess.run(command, cwd=directory, input=text, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return {"yes": True, "no": False}[done.stdout.strip()]


def as_json(secret: str, body: bytes, headers: dict[str, str]) -> dict[str, object]:
    return {"secret": secret, "body": body.decode(), "headers": headers}


def in_python(directory: Path, secret: str, body: bytes, headers: dict[str, str]) -> bool:
    names: dict[str, Callable[..., bool]] = {}
    exec(code("python", 1), names)
    return names["is_ours"](secret, body, headers)


def by_the_package(directory: Path, secret: str, body: bytes, headers: dict[str, str]) -> bool:
    (directory / "billing.secret").write_text(f"{SECRETS[1]}{secret}")
    names: dict[str, Callable[..., bool]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        exec(code("python").replace('open("billing.secret").read()', _READ), names)
    return names["is_ours"](body, headers)


_READ = '__import__("pathlib").Path("billing.secret").read_text()'
"""The page leaves the file to Python to close, of which the tests would complain."""


def in_javascript(directory: Path, secret: str, body: bytes, headers: dict[str, str]) -> bool:
    asks = """
        import { readFileSync } from "node:fs";
        const { secret, body, headers } = JSON.parse(readFileSync(0, "utf8"));
        console.log(isOurs(secret, Buffer.from(body), headers) ? "yes" : "no");
    """
    (directory / "verify.mjs").write_text(code("js") + textwrap.dedent(asks))
    return run(directory, "node", "verify.mjs", given=as_json(secret, body, headers))


def in_go(directory: Path, secret: str, body: bytes, headers: dict[str, str]) -> bool:
    packages = (
        "crypto/hmac", "crypto/sha256", "encoding/base64", "encoding/json", "fmt", "math",
        "net/http", "os", "strconv", "strings", "time",
    )  # fmt: skip
    imports = "\n".join(f'\t"{name}"' for name in packages)
    asks = """
        func main() {
            var given struct {
                Secret, Body string
                Headers      map[string]string
            }
            if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
                panic(err)
            }
            headers := http.Header{}
            for name, value := range given.Headers {
                headers.Set(name, value)
            }
            words := map[bool]string{true: "yes", false: "no"}
            fmt.Println(words[isOurs(given.Secret, []byte(given.Body), headers)])
        }
    """
    head = f"package main\n\nimport (\n{imports}\n)\n\n"
    (directory / "main.go").write_text(head + code("go") + textwrap.dedent(asks))
    if not (directory / "verify").exists():
        subprocess.run(["go", "build", "-o", "verify", "main.go"], cwd=directory, check=True)
    return run(directory, "./verify", given=as_json(secret, body, headers))


def in_php(directory: Path, secret: str, body: bytes, headers: dict[str, str]) -> bool:
    asks = """
        $given = json_decode(file_get_contents('php://stdin'), true);
        foreach ($given['headers'] as $name => $value)
            $_SERVER['HTTP_' . strtoupper(str_replace('-', '_', $name))] = $value;
        echo is_ours($given['secret'], $given['body']) ? 'yes' : 'no';
    """
    (directory / "verify.php").write_text("<?php\n" + code("php") + textwrap.dedent(asks))
    return run(directory, "php", "verify.php", given=as_json(secret, body, headers))


LANGUAGES = [
    pytest.param(in_python, id="python"),
    pytest.param(by_the_package, id="package"),
    *(
        pytest.param(verify, id=verify.__name__.removeprefix("in_"), marks=pytest.mark.system)
        for verify in (in_javascript, in_go, in_php)
    ),
]


async def signed(*keys: bytes, at: int | None = None, body: bytes = BODY) -> dict[str, str]:
    """The headers of a call that is signed now."""
    lines = await Signer(keys).header_lines("01RUN-ab", at or int(time.time()), [body])
    pairs = (line.partition(": ") for line in lines.decode().splitlines())
    return {name: value for name, _, value in pairs}


@pytest.mark.parametrize("verify", LANGUAGES)
async def test_the_pages_code_verifies_calls(verify: Verify, tmp_path: Path) -> None:
    """One signature and two at once are taken; another secret, body, id, time, a call of ten
    minutes ago and one without a signature are not."""
    secret, now = SECRETS[0], int(time.time())
    for keys in (KEYS[:1], KEYS, KEYS[::-1]):
        assert verify(tmp_path, secret, BODY, await signed(*keys))
    good = await signed(KEYS[0])
    bad = [
        await signed(b"another key of the length"),
        good | {"webhook-id": "01RUN-cd"},
        good | {"webhook-timestamp": str(int(good["webhook-timestamp"]) + 1)},
        good | {"webhook-signature": f"v1a,{good['webhook-signature'][3:]}"},
        good | {"webhook-signature": "v1,"},
        await signed(KEYS[0], at=now - 600),
        await signed(KEYS[0], at=now + 600),
        {},
    ]
    for headers in bad:
        assert not verify(tmp_path, secret, BODY, headers), headers
    assert not verify(tmp_path, secret, BODY + b" ", good)


@pytest.mark.parametrize("verify", [each for each in LANGUAGES if each.id != "package"])
async def test_a_file_with_two_secrets_takes_calls_of_either(
    verify: Verify, tmp_path: Path
) -> None:
    """As it stands while the secret is changed: calls that were signed before the new one was
    there, with both, and after the old one was taken away; and no others."""
    for secrets in ("".join(SECRETS), "".join(SECRETS[::-1]), f"\n{SECRETS[1]}\n{SECRETS[0]}"):
        for keys in (KEYS[:1], KEYS[1:], KEYS):
            assert verify(tmp_path, secrets, BODY, await signed(*keys))
        assert not verify(tmp_path, secrets, BODY, await signed(b"another key of the length"))


@pytest.mark.parametrize("verify", [each for each in LANGUAGES if each.id != "package"])
@pytest.mark.parametrize("key", [b"", b"short"], ids=["none", "short"])
async def test_a_file_without_a_whole_secret_opens_nothing(
    verify: Verify, key: bytes, tmp_path: Path
) -> None:
    """Whoever knows that the file is empty could sign with what is in it."""
    secret = f"whsec_{base64.b64encode(key).decode()}\n"
    assert not verify(tmp_path, secret, BODY, await signed(key))
