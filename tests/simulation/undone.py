"""No compensation is lost: what a run that failed had to undo was undone, or its function gave up.

A function gives up by an answer that says so: 424, `Atomic-No-Retry`, a status of its `stopOn`.
Not if the engine had refused one of its posts: that may have been the compensation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from engine.core.retry import OnExhausted
from tests.simulation.history import Post, Send, effect_of
from tests.simulation.programs import Call, Library

if TYPE_CHECKING:
    from tests.simulation.checker import Seen, Wrong

REFUSED_FOR_NOW = (429, 503)


def says_so(seen: Seen, send: Send) -> bool:
    """Whether a function's answer lets the failure of a step end it."""
    return send.status == 424 or send.no_retry or send.status in seen.policy(send).stop_on


def undone(seen: Seen, library: Library) -> Iterable[Wrong]:
    """R16: nobody is told that a step failed above a failure that its program compensates, unless
    that was done, or the last answer of its function said that the failure ends it.

    A failure that an operator has opened is none any more, whatever came of it.
    """
    looks = seen.history.last_looks_began
    opened = {post.step_id for post in seen.history.posts
              if post.began > looks and post.status not in (424, None)}  # fmt: skip
    for step_id, post in _failed_at_last(seen):
        sends = [send for send in seen.sends[step_id] if send.result != "open"]
        program = library.programs.get(sends[-1].url.rpartition("/")[2]) if sends else None
        if program is None or says_so(seen, sends[-1]):
            continue
        if seen.policy(sends[-1]).on_exhausted is OnExhausted.FAIL:
            continue
        for command in program.commands:
            for call in command.calls:
                if _is_owed(seen, post, call, library, opened):
                    yield "R16", f"step {step_id} failed, and {call.name} was not compensated"


def _failed_at_last(seen: Seen) -> Iterable[tuple[str, Post]]:
    for step_id, posts in seen.posts.items():
        last = [post for post in posts if post.began > seen.history.last_looks_began]
        if last and last[-1].status == 424:
            yield step_id, last[-1]


def _is_owed(
    seen: Seen, failed: Post, call: Call, library: Library, opened: set[str | None]
) -> bool:
    """Whether the run was told that this call failed, and what it does instead was not done."""
    if call.instead is None or not call.fails:
        return False
    if effect_of(failed.client, call.instead.effect) in seen.history.effects:
        return False
    return any(
        post.url == call.url
        and post.run_id == failed.run_id
        and post.status == 424
        and post.step_id not in opened
        for post in seen.history.posts
    )


def refused(seen: Seen) -> Iterable[Wrong]:
    """R17: an attempt with a post that the engine refused for now does not fail its step."""
    refused_of: dict[tuple[str, int], list[Post]] = {}
    for post in seen.history.posts:
        if post.status in REFUSED_FOR_NOW and post.parent_token is not None and post.life:
            step_id, attempt, _ = post.parent_token.split(".")
            refused_of.setdefault((step_id, int(attempt)), []).append(post)
    for step_id, sends in seen.sends.items():
        ends = {
            post.attempts for post in seen.posts[step_id] if post.status == 424 and post.is_outcome
        }
        for send in sends:
            if send.attempt not in ends or send.ended is None:
                continue
            for post in refused_of.get((step_id, send.attempt), ()):
                answered = post.ended is not None and post.ended < send.ended
                if answered and post.life == send.life and post.began > send.began:
                    yield "R17", f"attempt {send.attempt} of {step_id} failed it; {post.url} of" \
                        " that attempt had been refused"  # fmt: skip
