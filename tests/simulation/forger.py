"""Posts with parent tokens that nobody may use so: altered, of another run, of another client."""

from __future__ import annotations

from random import Random

from msgspec.structs import replace

from tests.simulation.net import Net, Submission

REFUSALS = (400, 403, 503)
TENANTS = ("shop", "bank")


def forge(what: Submission, others: list[str], rng: Random) -> Submission:
    """The post of a function, with its parent token misused in some way. `others` are steps."""
    assert what.parent_token is not None
    step_id, attempt, epoch, signature = what.parent_token.split(".")
    match rng.choice(("signature", "attempt", "step", "client", "client")):
        case "signature":
            last = "0" if signature[-1] != "0" else "1"
            return replace(what, parent_token=f"{step_id}.{attempt}.{epoch}.{signature[:-1]}{last}")
        case "attempt":
            return replace(what, parent_token=f"{step_id}.{int(attempt) + 1}.{epoch}.{signature}")
        case "step" if [other for other in others if other != step_id]:
            other = rng.choice([other for other in others if other != step_id])
            return replace(what, parent_token=f"{other}.{attempt}.{epoch}.{signature}")
        case _:
            (other,) = [tenant for tenant in TENANTS if tenant != what.client]
            return replace(what, client=other)


async def try_forged(net: Net, what: Submission, rng: Random) -> None:
    """R20: such a post is refused, and says nothing of the step that it means."""
    others = list(dict.fromkeys(send.step_id for send in net.history.sends[-20:]))
    forged = forge(what, others, rng)
    net.history.note("fault:forged-parent-token")
    post = await net.post(forged, 60.0)
    # whatever it was answered, no rule about posts is about this one
    net.history.posts.remove(post)
    taken = post.status not in (None, *REFUSALS) or post.step_id is not None
    if taken:
        net.history.fail(
            "R20", f"a post of {forged.client} with {forged.parent_token} was taken: {post}"
        )
