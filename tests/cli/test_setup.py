"""`atomic setup`: what it writes, and what it leaves alone."""

from __future__ import annotations

import base64
import tomllib
from pathlib import Path

import pytest

from tests.client.fake_engine import Atomic

SHOP = ("--client", "shop", "--target", "http://shop:9000")


def files(directory: Path) -> dict[str, str]:
    """What lies there, by name."""
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_text() for path in found}


def test_settings_tokens_and_secrets_are_written_for_this_user_alone(
    atomic: Atomic, tmp_path: Path
) -> None:
    """Five files: 256 random bits in each token, a secret of Standard Webhooks, targets in their
    one spelling, and paths that lead from the file that names them. None of it is printed."""
    result = atomic("setup", str(tmp_path / "etc"), *SHOP, "--target", "http://SHOP:80")
    assert result.exit_code == 0, result.output
    etc = files(tmp_path / "etc")
    assert sorted(etc) == [
        "admin.token", "atomic.toml", "clients/shop.toml", "keys/shop.signing", "keys/shop.token",
    ]  # fmt: skip
    settings = tomllib.loads(etc["atomic.toml"])
    assert settings == {"admin_token_file": "admin.token", "clients_dir": "clients"}
    client = tomllib.loads(etc["clients/shop.toml"])
    assert client["targets"] == ["http://shop:9000/", "http://shop/"]
    keys = tmp_path / "etc" / "clients"
    assert (keys / client["token_file"]).read_text() == etc["keys/shop.token"]
    assert (keys / client["signing_secret_file"]).read_text() == etc["keys/shop.signing"]
    for token in (etc["admin.token"], etc["keys/shop.token"]):
        assert token.startswith("atomic_")
        assert len(base64.urlsafe_b64decode(token.strip()[7:] + "=")) == 32
        assert token.strip() not in result.output
    assert len(base64.b64decode(etc["keys/shop.signing"].strip()[6:])) == 32
    assert etc["admin.token"] != etc["keys/shop.token"]
    for path in (tmp_path / "etc").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_what_is_there_stays(atomic: Atomic, tmp_path: Path) -> None:
    """A second run writes what is missing, says what it kept, and changes nothing."""
    assert atomic("setup", str(tmp_path), *SHOP).exit_code == 0
    before = files(tmp_path)
    (tmp_path / "keys" / "shop.signing").unlink()
    result = atomic("setup", str(tmp_path), "--client", "shop", "--target", "http://other:1/")
    assert result.exit_code == 0
    after = files(tmp_path)
    assert after.pop("keys/shop.signing") != before.pop("keys/shop.signing")
    assert after == before
    note = f"note: {tmp_path}/clients/shop.toml was there already, and http://other:1/ is not"
    assert note in result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[:5]] == ["kept", "kept", "wrote", "kept", "kept"]


def test_what_the_application_needs_is_told(atomic: Atomic, tmp_path: Path) -> None:
    """All of its environment: who copies the line has its calls verified."""
    told = atomic("setup", str(tmp_path), *SHOP)
    assert told.stderr == "", "with the targets that were asked for"
    (line,) = [it for it in told.stdout.splitlines() if it.startswith("The application:")]
    assert line.split()[2:] == [
        "ATOMIC_CLIENT=shop",
        f"ATOMIC_TOKEN_FILE={tmp_path}/keys/shop.token",
        f"ATOMIC_SIGNING_SECRET_FILE={tmp_path}/keys/shop.signing",
    ]
    assert "ATOMIC_URL" in told.stdout
    (tmp_path / "clients" / "shop.toml").write_text("targets = [")
    assert atomic("setup", str(tmp_path), *SHOP).stderr == "", "that is the engine's to tell"


def test_the_clients_keys_may_lie_elsewhere(atomic: Atomic, tmp_path: Path) -> None:
    """As in a container, where the application reads them from a volume of its own."""
    keys = tmp_path / "demo-keys"
    assert atomic("setup", str(tmp_path / "etc"), *SHOP, "--keys", str(keys)).exit_code == 0
    client = tomllib.loads((tmp_path / "etc" / "clients" / "shop.toml").read_text())
    assert client["token_file"] == str(keys / "shop.token")
    assert Path(client["signing_secret_file"]).exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--client", "a/b", "--target", "http://a/"), "no client name"),
        (("--client", "api", "--target", "http://a/"), "reserved"),
        (("--client", "ui", "--target", "http://a/"), "reserved"),
        (("--client", "a", "--target", "shop:9000"), "must be an absolute"),
        (("--client", "a", "--target", "http://a/?x=1"), "must end before the `?`"),
        (("--client", "a"), "Missing option '--target'"),
        (("--target", "http://a/"), "Missing option '--client'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told(
    atomic: Atomic, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    """Before anything is written."""
    result = atomic("setup", str(tmp_path / "etc"), *arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert not (tmp_path / "etc").exists()


def test_a_place_that_cannot_be_written_is_named(atomic: Atomic, tmp_path: Path) -> None:
    """One line: which, and why."""
    (tmp_path / "file").write_text("")
    result = atomic("setup", str(tmp_path / "file" / "etc"), *SHOP)
    assert result.exit_code == 4
    assert "cannot be written: Not a directory" in result.output
