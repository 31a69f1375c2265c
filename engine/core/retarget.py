"""Moving a run to other URLs: the action `retarget`. `protocol.md` §5.

A move is a rule that is kept with the run: a URL that begins with `from_url` stands for the one
with `to_url`. It is applied to every URL that is recorded and to every one that is posted, before
the look-up, and each rule to what the ones before it made: so what new code posts under new URLs
and what old code in flight posts under old ones are the same steps. Ids stay as they are, and with
them the keys that endpoints know.

A rule fits whole segments: it ends at a `/`, a `?` or the URL's end, so `/v1` is not `/v10`. Where
`to_url` itself begins with `from_url` (`/` to `/api/`), what begins with `to_url` has arrived.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from engine.core.errors import Problem, Refused
from engine.core.model import Move, Run, StepSpec, child_id
from engine.core.target import URL_BYTES_MAX, BadTarget, normalise

MOVES_PER_RUN_MAX = 100
"""Each post of the run goes through all of them; nobody moves a run so often but by mistake."""


class MovedStep(Struct, frozen=True):
    """A step that a move takes along."""

    step_id: str
    before: str
    after: str

    @property
    def urls(self) -> tuple[str, str]:
        return (self.before, self.after)


def moved(url: str, moves: Iterable[Move]) -> str:
    """The URL that this one stands for."""
    for move in moves:
        start, to = move.from_url, move.to_url
        if not url.startswith(start):
            continue
        rest = _behind(url, start)
        if rest is None or (to.startswith(start) and _has_arrived(url, move)):
            continue
        url = to if not rest else _joined(to, rest) or url
    return url


def _has_arrived(url: str, move: Move) -> bool:
    return bool(_behind(move.to_url, move.from_url)) and _behind(url, move.to_url) is not None


def _behind(url: str, start: str) -> str | None:
    """What of the URL lies behind `start`, from its `/` or `?` on; None: it does not begin so."""
    if url == start:
        return ""
    if "?" in start or not url.startswith(start):
        return None
    if start.endswith("/"):
        return url[len(start) - 1 :]
    return url[len(start) :] if url[len(start)] in "/?" else None


def _joined(start: str, rest: str) -> str | None:
    """None where `start` ends in a query: nothing can follow that."""
    if "?" in start:
        return None
    return (start.removesuffix("/") if rest.startswith("/") else start) + rest


def moved_spec(spec: StepSpec, moves: Iterable[Move]) -> StepSpec:
    """What is posted or recorded, under the URL that it stands for. A key of its own stays."""
    url = moved(spec.url, moves)
    if url == spec.url:
        return spec
    return replace(spec, url=url, step_key=url if spec.step_key == spec.url else spec.step_key)


def posted_spec(run: Run, spec: StepSpec) -> StepSpec:
    """What a post to the run stands for: its URL after all moves, in their order. If that is not
    recorded, its URL as new code means it: what begins as the latest move has it went through that.
    (After `/` to `/api/` and `/api/steps` to `/x`, the first would take `/x` further.)"""
    found = moved_spec(spec, run.moves)
    if found.url == run.root.spec.url or found.identity in run.by_identity:
        return found
    for number in range(len(run.moves), 0, -1):
        move = run.moves[number - 1]
        at_from = move.from_url.startswith(move.to_url) and _behind(spec.url, move.from_url)
        if _behind(spec.url, move.to_url) is not None and at_from in (False, None):
            return moved_spec(spec, run.moves[number:])
    return found


def new_child_id(run: Run, spec: StepSpec) -> str:
    """The id of a step that the run takes up now: of the identity that it would have had before
    the run was moved.

    For a child's first attempt may have left before its commit, and a crash have taken it back: it
    must come again under the same key, whoever posts it under which URL after a move.
    """
    if not run.moves:
        return child_id(run.id, spec.identity)
    back = [Move(move.to_url, move.from_url) for move in reversed(run.moves)]
    identity = moved_spec(spec, back).identity
    id, others = child_id(run.id, identity), 0
    while id in run.steps:
        others += 1
        id = child_id(run.id, identity, others)
    return id


def read_move(from_url: str | None, to_url: str | None) -> Move:
    """What an operator asks for. Raises Refused, naming the member at fault."""
    urls = []
    for member, url in (("from", from_url), ("to", to_url)):
        if url is None:
            raise _invalid(member, f"`retarget` needs `{member}`: a URL, or what URLs begin with.")
        try:
            urls.append(normalise(url))
        except BadTarget as error:
            raise _invalid(member, f"`{member}`: the URL {error}.") from error
    if urls[0] == urls[1]:
        raise _invalid("to", "`from` and `to` are the same URL.")
    return Move(urls[0], urls[1])


def plan(run: Run, move: Move) -> list[MovedStep]:
    """The steps that the move takes along. Raises Refused (`not-possible`) where it cannot be."""
    if len(run.moves) >= MOVES_PER_RUN_MAX:
        raise _not_possible(
            run, f"The run has been retargeted {MOVES_PER_RUN_MAX} times, which is the most."
        )
    urls = {step.id: moved(step.spec.url, (move,)) for step in run.steps.values()}
    found = [
        MovedStep(id, before, url)
        for id, url in urls.items()
        if (before := run.steps[id].spec.url) != url
    ]
    latest = run.moves[-1] if run.moves else None
    if not found and latest and (latest.from_url, latest.to_url) == (move.from_url, move.to_url):
        raise _not_possible(run, "The run has been retargeted so already.")
    _check_apart(run, move, urls)
    for each in found:
        if len(each.after) > URL_BYTES_MAX:
            raise _not_possible(run, f"{each.before} would be over {URL_BYTES_MAX:,} bytes.")
    return found


def _check_apart(run: Run, move: Move, urls: dict[str, str]) -> None:
    """No two steps become one, nor a child the root, which is found by its URL alone."""
    by_identity: dict[tuple[str, str, str], str] = {}
    root, root_url = run.root.spec, urls[run.id]
    for id, url in urls.items():
        spec = run.steps[id].spec
        step_key = url if spec.step_key == spec.url else spec.step_key
        other = by_identity.setdefault((spec.workflow, spec.key, step_key), id)
        if (
            url == root_url
            and spec.url != root.url
            and (spec.workflow, spec.key) == (root.workflow, root.key)
        ):
            other = run.id
        if other != id:
            one, two = (run.steps[each].spec.url for each in (other, id))
            what = "the root and a step of it" if other == run.id else "two steps of it"
            raise _not_possible(
                run, f"Moved from {move.from_url} to {move.to_url}, {what} would become one: {one}"
                f" and {two}.", stepId=id,
            )  # fmt: skip


def _invalid(member: str, detail: str) -> Refused:
    return Refused(Problem.INVALID_REQUEST, detail, member=member)


def _not_possible(run: Run, detail: str, **members: str) -> Refused:
    return Refused(Problem.NOT_POSSIBLE, detail, runId=run.id, **members)
