"""What the settings of alerts may say, and what a slip in them is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.alerts.rules import Rule
from engine.alerts.settings import alerts_of
from engine.process.config import ConfigError, load

SECRET = "whsec_" + "A" * 43 + "="
URL = "http://pager:9000/hook"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a secret lies that others cannot read."""
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "alerts.secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    return tmp_path


def refusal(**settings: object) -> str:
    with pytest.raises(ConfigError) as caught:
        alerts_of(load({"alerts_signing_secret_file": "alerts.secret", **settings}, {}))
    return str(caught.value)


def test_without_any_there_are_none() -> None:
    """Nobody who sets nothing is asked for anything."""
    assert alerts_of(load({}, {})) is None


def test_a_file_says_all_of_it(directory: Path) -> None:
    """The secret's path begins where the file stands; rules that are not named are off."""
    there = directory / "there"
    there.mkdir()
    os.rename("alerts.secret", there / "alerts.secret")
    file = there / "atomic.toml"
    file.write_text(
        'alerts_url = "HTTP://Pager:9000/hook"\nalerts_signing_secret_file = "alerts.secret"\n'
        'alerts_rules = ["failed", "host-down"]\nalerts_late_after_s = 60\n'
    )
    found = alerts_of(load({}, {}, file))
    assert found is not None
    assert (found.url, found.host, found.late_after_s) == (URL, "pager:9000", 60)
    assert found.rules == {Rule.FAILED, Rule.HOST_DOWN}
    assert found.client.signing_secrets == (b"\0" * 32,)


def test_the_environment_says_all_of_it() -> None:
    """And without rules there are all of them."""
    environ = {"ATOMIC_ALERTS_URL": URL, "ATOMIC_ALERTS_SIGNING_SECRET_FILE": "alerts.secret"}
    found = alerts_of(load({}, environ))
    assert found is not None
    assert found.rules == set(Rule)
    assert found.late_after_s == 86_400
    found = alerts_of(load({}, environ | {"ATOMIC_ALERTS_RULES": "disk, new-cause"}))
    assert found is not None
    assert found.rules == {Rule.DISK, Rule.NEW_CAUSE}


def test_what_cannot_be_is_told() -> None:
    """Each with what is wrong and what to do."""
    assert "alerts_signing_secret_file says nothing without alerts_url" in refusal()
    unsigned = refusal(alerts_url=URL, alerts_signing_secret_file=None)
    assert "alerts are always signed" in unsigned
    assert "openssl rand" in unsigned
    assert "no-such" in refusal(alerts_url=URL, alerts_signing_secret_file="no-such")
    assert "alerts_ca_file" in refusal(alerts_url=URL, alerts_ca_file="no-such")
    assert "alerts_url" in refusal(alerts_url="http://pa%ger/")
    for url in ("pager", "ftp://pager/", "http://user:pass@pager/", f"{URL}?token=x", f"{URL}#a"):
        assert refusal(alerts_url=url).startswith("alerts_url")
    assert "pass@" not in refusal(alerts_url="http://user:pass@pager/")


def test_limits_of_the_time_after_which_a_run_is_late() -> None:
    """A minute to a year."""
    for seconds in (60, 31_536_000):
        assert load({"alerts_late_after_s": seconds}, {}).alerts_late_after_s == seconds
    for seconds in (59, 31_536_001):
        with pytest.raises(ConfigError, match=r"--alerts-late-after-s: .*60|31536000"):
            load({"alerts_late_after_s": seconds}, {})


def test_a_rule_that_there_is_not() -> None:
    """Is named, with those that there are."""
    said = refusal(alerts_url=URL, alerts_rules=["disk", "host-dwn"])
    assert "there is no rule 'host-dwn'; did you mean `host-down`? There are failed, paused" in said
    assert "no rule 'xyz'. There are" in refusal(alerts_url=URL, alerts_rules=["xyz"])


def test_a_secret_that_others_may_read_is_refused(directory: Path) -> None:
    """As those of clients are."""
    (directory / "alerts.secret").chmod(0o644)
    assert "every user of this machine may read it" in refusal(alerts_url=URL)
