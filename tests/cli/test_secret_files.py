"""`--to FILE`: a secret goes into its file when there is one, whole, and for one user alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.client.fake_engine import Answer, Atomic, answer, refusal

OLD, NEW = f"atomic_{'o1' * 22}", f"atomic_{'n2' * 22}"
TOKEN: dict[str, Any] = {
    "name": "billing", "role": "submit", "client": "billing", "expiresAt": None,
    "oldSecretUntil": None, "definedIn": None,
}  # fmt: skip
CLIENT = {
    "name": "billing", "targets": ["http://billing:9000/"], "privateTargets": False,
    "stepsNeedParent": None, "disabled": False, "definedIn": None, "signingSecrets": 2,
}  # fmt: skip
MADE = answer({"made": {"token": TOKEN, "secret": NEW}, "admin": None})
ADDED = answer({"client": CLIENT, "made": {"token": TOKEN, "secret": NEW}, "admin": None}, 201)
SIGNED = answer({"client": CLIENT, "secret": "whsec_new"}, 201)
ROTATE = ("token", "rotate", "billing", "--to")
ADD = ("client", "add", "billing", "--target", "http://billing:9000/", "--to")


def mode(path: Path) -> int:
    """Who may read it."""
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        (ROTATE, MADE),
        (("token", "add", "billing", "--role", "submit", "--client", "billing", "--to"), MADE),
        (ADD, ADDED),
        (("client", "secret", "add", "billing", "--to"), SIGNED),
    ],
)
def test_a_secret_goes_into_a_file_of_this_user_alone(
    atomic: Atomic, tmp_path: Path, arguments: tuple[str, ...], made: Answer
) -> None:
    """Whatever the umask is; standard output has nothing of it, nor has the text beside it."""
    before = os.umask(0)
    try:
        done = atomic(*arguments, str(tmp_path / "billing.new"), answers=[made])
    finally:
        os.umask(before)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "billing.new").read_text() in (f"{NEW}\n", "whsec_new\n")
    assert mode(tmp_path / "billing.new") == 0o600
    assert done.stdout == ""
    assert str(tmp_path / "billing.new") in done.stderr
    assert NEW not in done.stderr
    assert os.listdir(tmp_path) == ["billing.new"]


@pytest.mark.parametrize(
    "failure",
    [httpx.ConnectError("nobody there"), refusal("not-possible", "It has run out.")],
    ids=["away", "refused"],
)
def test_a_failure_leaves_the_file_as_it_is(
    atomic: Atomic, tmp_path: Path, failure: Answer
) -> None:
    """While it asks and afterwards whoever reads the file has the old token."""
    path = tmp_path / "billing.token"
    path.write_text(f"{OLD}\n")
    seen: list[str] = []

    def looked(request: httpx.Request) -> httpx.Response:
        seen.append(path.read_text())
        if isinstance(failure, httpx.Response):
            return failure
        raise httpx.ConnectError("nobody there", request=request)

    done = atomic(*ROTATE, str(path), answers=[looked])
    assert done.exit_code in (3, 4)
    assert seen == [f"{OLD}\n"] == [path.read_text()]
    assert os.listdir(tmp_path) == ["billing.token"]


def test_a_replaced_file_stays_readable_for_whom_it_was(atomic: Atomic, tmp_path: Path) -> None:
    """Its mode stays, and a link to it stays one, as an application may read by either."""
    path, link = tmp_path / "billing.token", tmp_path / "link"
    path.write_text(f"{OLD}\n")
    path.chmod(0o640)
    link.symlink_to(path)
    assert atomic(*ROTATE, str(link), answers=[MADE]).exit_code == 0
    assert (path.read_text(), mode(path), link.is_symlink()) == (f"{NEW}\n", 0o640, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user, as root alone can")
def test_a_replaced_file_stays_its_owners(atomic: Atomic, tmp_path: Path) -> None:
    """An administrator rotates the token of an application that runs as another user."""
    path = tmp_path / "billing.token"
    path.write_text(f"{OLD}\n")
    os.chown(path, 10001, 10001)
    assert atomic(*ROTATE, str(path), answers=[MADE]).exit_code == 0
    assert (path.stat().st_uid, path.stat().st_gid) == (10001, 10001)


def test_what_makes_a_new_one_writes_over_none(atomic: Atomic, tmp_path: Path) -> None:
    """It is refused before anything is asked of the engine: in it may be another's secret."""
    path = tmp_path / "admin.token"
    path.write_text(f"{OLD}\n")
    done = atomic(*ADD, str(path))
    assert (done.exit_code, "is there already" in done.stderr) == (4, True)
    assert path.read_text() == f"{OLD}\n"


def test_a_new_signing_secret_stands_before_the_one_that_signs_too(
    atomic: Atomic, tmp_path: Path
) -> None:
    """So the application takes calls that were signed a moment ago; of three the oldest goes."""
    path = tmp_path / "billing.signing"
    for old in ("# of May\nwhsec_old\n", "whsec_old\nwhsec_older\n"):
        path.write_text(old)
        done = atomic("client", "secret", "add", "billing", "--to", str(path), answers=[SIGNED])
        assert done.exit_code == 0, done.output
        assert path.read_text() == "whsec_new\nwhsec_old\n"


def test_what_cannot_be_written_is_told_before_anything_is_made(
    atomic: Atomic, tmp_path: Path
) -> None:
    """A directory that is not there; a secret that is to be shown as well."""
    done = atomic(*ROTATE, str(tmp_path / "gone" / "billing.token"))
    assert (done.exit_code, "No such file or directory" in done.stderr) == (4, True)
    done = atomic(*ROTATE, str(tmp_path / "billing.token"), "--json")
    assert (done.exit_code, "give one of them" in done.stderr) == (2, True)
    assert os.listdir(tmp_path) == []


def test_a_secret_that_cannot_be_kept_is_shown(
    atomic: Atomic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk has filled meanwhile: it is nowhere else, so it is not lost."""

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    path = tmp_path / "billing.token"
    path.write_text(f"{OLD}\n")
    done = atomic(*ROTATE, str(path), answers=[MADE])
    assert (done.exit_code, done.stdout) == (4, f"{NEW}\n")
    assert "No space left on device" in done.stderr
    assert path.read_text() == f"{OLD}\n"
    assert os.listdir(tmp_path) == ["billing.token"]


@pytest.mark.parametrize(
    ("command", "there"),
    [
        (("client", "secret", "add", "billing", "--to"), f"{OLD}\n"),
        (ROTATE, "whsec_old\n"),
        (ROTATE, f"# a file of tokens\n{OLD}\nexport A=1\n"),
    ],
)
def test_a_file_of_something_else_is_left_alone(
    atomic: Atomic, tmp_path: Path, command: tuple[str, ...], there: str
) -> None:
    """A secret in front of an application's token would lock it out; nothing is asked for."""
    path = tmp_path / "other"
    path.write_text(there)
    done = atomic(*command, str(path))
    assert (done.exit_code, path.read_text()) == (4, there)
    assert "is a file of something else: name another" in " ".join(done.stderr.split())
