"""What looks like a secret is in no excerpt, and what only speaks of one is still told."""

from __future__ import annotations

import html
import json

import pytest

from engine.core.outcome import Answered, CallError, Unanswered
from engine.core.rules.excerpt import excerpt_of
from engine.core.text.secrets import MASK, without_secrets
from tests.core.secret_shapes import KNOWN_KEYS, SENTENCES, SHAPES

CANARIES = ("cAnArY7f3aZq9", "cAnArY-7f3a")
LONG = "cAnArY7f3aZq" * 3


def told(body: str, content_type: str) -> str:
    return excerpt_of(Answered(500, body.encode(), content_type)) or ""


def excerpts_of(text: str) -> list[str]:
    """Of answers in which it stands: as itself, escaped, in JSON within JSON, cut."""
    wrapped = json.dumps({"error": text})
    plain, page, xml, app = "text/plain", "text/html", "application/xml", "application/json"
    return [
        told(text, plain),
        told(f"{'word ' * 8}{text}", plain),
        told(text, page),
        told(text, app),
        told(f"<html><title>{text}</title>", page),
        told(f"<html><title>{html.escape(text)}</title>", page),
        told(f"<html><body><p>{html.escape(text)}</p>", page),
        told(f"<?xml version='1.0'?><e><m>{text}</m></e>", xml),
        told(f"<?xml version='1.0'?><e><m>{html.escape(text)}</m></e>", xml),
        told(wrapped, app),
        told(wrapped[:-2], app),
        told(json.dumps({"message": wrapped}), app),
        told(json.dumps({"unknown": text}), app),
        told(json.dumps({"unknown": wrapped}), app),
        told(json.dumps({"unknown": text})[:-1], app),
        excerpt_of(Unanswered(CallError.CONNECTION_LOST, text)) or "",
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_no_shape_lets_a_secret_out(shape: str) -> None:
    """Headers, connection strings, queries, dumps of every language, commands, sentences."""
    for canary in CANARIES:
        for excerpt in excerpts_of(shape.replace("CANARY", canary)):
            assert canary[:6] not in excerpt


@pytest.mark.parametrize("key", KNOWN_KEYS)
def test_known_keys_need_no_name(key: str) -> None:
    """`Incorrect key provided: sk-…` is masked whatever stands before it."""
    key = key.replace("CANARY", LONG)
    for text in (key, f"Incorrect key provided: {key}.", f"{key} was refused"):
        assert MASK in without_secrets(text)
        assert LONG[3:] not in without_secrets(text)
        assert "0123456789ABCDEF" not in without_secrets(text)


@pytest.mark.parametrize("text", SENTENCES)
def test_what_only_speaks_of_a_secret_stays(text: str) -> None:
    """A line without its reason would be none."""
    assert without_secrets(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("GET /x?token=abc&page=2 failed", "GET /x?token=***&page=2 failed"),
        ('{"password":"a\\"b","user":"bob"}', '{"password":"***","user":"bob"}'),
        ("Server=db;Password=x,y;Encrypt=True", "Server=db;Password=***;Encrypt=True"),
        ("Config(password=abc, user=bob)", "Config(password=***, user=bob)"),
        ("postgres://app:a/b@db:5432/shop is away", "postgres://***@db:5432/shop is away"),
        ("[password] => abc [user] => bob", "[password] => *** [user] => bob"),
        (
            "curl -H 'Authorization: Token x' https://a/b",
            "curl -H 'Authorization: ***' https://a/b",
        ),
        (
            "<a><password>x</password><user>bob</user>",
            "<a><password>***</password><user>bob</user>",
        ),
        ("Access denied (using password: YES)", "Access denied (using password: YES)"),
    ],
)
def test_what_stands_around_it_is_still_told(text: str, left: str) -> None:
    """Only the value goes."""
    assert without_secrets(text) == left
