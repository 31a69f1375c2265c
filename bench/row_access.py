"""createUser from 50 callers as before there were clients, with a token, with signed calls, and with TLS.

One result for each way and round: what the load generator prints, with `access`. "": no client is defined.
token: the client is, so each post (of callers and of the application) carries its token, and its list of
targets is asked. signed: each call of a step is signed besides, which the application does not verify.
sealed: all that, and posts come over TLS, of callers and of the application, on connections that are kept.
"""

from __future__ import annotations

import time

import load
from forms import Form, Record, say
from systems import atomic, processes

CALLERS = 50
WAYS = ("", "token", "signed", "sealed")


def run(form: Form, record: Record) -> None:
    """Round by round, the ways in turn, so that a machine that slows down slows all of them."""
    for turn in range(form.rounds):
        for access in WAYS:
            with processes() as p:
                system = atomic(p, access=access)
                time.sleep(1)
                result = load.closed_loop(
                    system, CALLERS, warm_s=form.warm_s, window_s=form.window_s
                )
            say(f"{access or 'open'} {load.line(result)}")
            record("access", access=access, round=turn, **result)
