"""Who waits above a step whose attempt timed out is sent home before it is tried again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tests.simulation.history import Post, Send

if TYPE_CHECKING:
    from tests.simulation.checker import Seen, Wrong

ARRIVES_S = 3.1
"""By then a slow post has arrived."""
NEAR_S = 5.0


def kept_waiting(seen: Seen) -> Iterable[Wrong]:
    """R27: nobody is answered the outcome of a step who waited for it when an attempt of it timed
    out. (Of an attempt that was called again, if it had asked for a step that was there before.)"""
    for step_id, sends in seen.sends.items():
        for send in sends:
            if send.result != "cut" or send.ended_at is None:
                continue
            if (step_id, send.attempt) in seen.history.sent_home:
                continue  # its end says nothing more; and who waits above it came later
            for post in seen.posts[step_id]:
                if _waited(seen, post, send):
                    yield (
                        "R27",
                        f"{post.parent_token} went on waiting for {step_id}, which timed out",
                    )


def _waited(seen: Seen, post: Post, cut: Send) -> bool:
    """Whether the post waited then, of an attempt that lived on, and answered with an outcome."""
    at = cut.ended_at or 0.0
    if post.parent_token is None or post.ended_at is None or post.status not in (200, 424):
        return False
    poster, attempt, _ = post.parent_token.split(".")
    if post.life != cut.life:
        return False
    if not post.at + ARRIVES_S < at < post.ended_at - 1:
        return False
    for send in seen.sends[poster]:
        if send.attempt == int(attempt) and send.life == cut.life:
            alive = (send.ended_at or at + 9) > at + 1
            return alive and _asked(seen, post, send, at) and not _was_answered(seen, post, at)
    return False


def _asked(seen: Seen, post: Post, its: Send, at: float) -> bool:
    """Whether the poster's attempt is its first, or had posted a step that was there before it."""
    if its.attempt == 1:
        return True
    for other in seen.history.posts:
        if other.parent_token == post.parent_token and other.step_id and other.at + ARRIVES_S < at:
            known = [each.ended for each in seen.posts[other.step_id] if each.acknowledged]
            if any(ended is not None and ended < its.began for ended in known):
                return True
    return False


def _was_answered(seen: Seen, post: Post, at: float) -> bool:
    """Whether another post of that attempt was being answered about then: it did not only wait."""
    return any(
        other is not post
        and other.parent_token == post.parent_token
        and abs((other.ended_at or at) - at) < NEAR_S
        for other in seen.history.posts
    )
