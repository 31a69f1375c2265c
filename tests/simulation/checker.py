"""The contract, checked over what clients and endpoints saw.

Each key is a register that is written once, so a pass over the history decides; nothing has to be
searched. A post without an answer may have been taken or not, and proves nothing by itself.

    R1  acknowledged, and lost            R7   payload changed between attempts
    R2  outcome overwritten               R8   more sends than the policy allows
    R3  went back in time                 R9   a call nobody asked for
    R4  outcome invented                  R10  a call before its back-off was over
    R5  invoked after its outcome         R11  a new step from an execution that was over
    R6  two payloads under one key        R14  a call long after its back-off was over
    R23 a key of two steps
    R16 failed, and not compensated       R17  failed although a post was refused (`undone.py`)
    R27 kept waiting above a step whose attempt timed out (`homes.py`)
    R32 gone by retention, and there again
    R33 a result that was set is not what is answered (`repairs.py`)
    R34, R35 what bulk jobs may not do (`jobs.py`)
    R36 called with another payload than was set (`repairs.py`)

Seen by the world itself: R12 a function refused without a reason, R13 two requests of a step open,
R15 a step that failed above a failure and never said so, R17 an attempt that counts as a failure
although a post of it was refused (`records.py`), R18 something recorded for an attempt that was
sent home, R19 one that is called again though nothing has ended, POOL workers that wait for each
other (`pools.py`), R20 a forged parent token was taken, R21 an operator's
action that was told and is not recorded, R22 a crash that counts as a failure, R26 an
attempt that left while the store was away (`outage.py`), R29 a nested function that failed for
what the root was told, R33 something cut from the journal that a run needs (`records.py`). I1 to I6
are about the record itself.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise

import msgspec

from engine.core.retry import DEFAULT_POLICY, RetryPolicy
from tests.simulation.history import REPAIRS, Act, Answer, History, Post, Send, effect_of, value_in
from tests.simulation.homes import kept_waiting
from tests.simulation.programs import Library
from tests.simulation.repairs import called_as_set, gives, payloads_set, repaired, was_set
from tests.simulation.undone import refused, undone

Wrong = tuple[str, str]
FRESH = ("retry", "rerun", "resume", *REPAIRS)
"""Actions after which a step may have a budget of its own again."""
AGAIN = re.compile(r"-r\d+$")
"""What a rerun adds to the key of a step."""
GATEWAY = (502, 503, 504)
EARLY_MS = 2
"""The engine counts whole milliseconds: a call may be early by what rounding takes."""

LATE_MS = 20_000
"""What slow commits, sweeps and full hosts may add."""


class Seen:
    """The history by step."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.posts: dict[str, list[Post]] = defaultdict(list)
        self.sends: dict[str, list[Send]] = defaultdict(list)
        self.answers: dict[str, list[Answer]] = defaultdict(list)
        self.acts: dict[str, list[Act]] = defaultdict(list)
        for post in history.posts:
            if post.step_id is not None and post.status is not None:
                self.posts[post.step_id].append(post)
        for send in history.sends:
            self.sends[send.step_id].append(send)
        for answer in history.answers:
            self.answers[answer.step_id].append(answer)
        for act in history.acts:
            if act.done is not False:
                self.acts[act.run_id].append(act)
        self.first_outcome: dict[str, int] = {}
        for step_id, posts in self.posts.items():
            places = [post.ended for post in posts if post.is_outcome and post.ended is not None]
            if places:
                self.first_outcome[step_id] = min(places)
        self.shift_ms = {life.number: life.shift_ms for life in history.lives}
        self.parents = _parents(history)
        self.policies = {
            (post.key, post.url, post.workflow, post.client): post.retry for post in history.posts
        }

    def acted(self, run_id: str, kinds: tuple[str, ...], after: int, before: int) -> bool:
        """Whether an operator may have done one of these between two places."""
        return any(
            act.action in kinds and act.began < before and (act.ended or before) > after
            for act in self.acts[run_id]
        )

    def reopened(self, run_id: str, before: int) -> bool:
        """Whether an operator may have opened steps of the run again before this place."""
        return self.acted(run_id, ("retry", "rerun", *REPAIRS), 0, before)

    def maybe_told(self, send: Send) -> bool:
        """Whether what is meant for the root, 504 `suspended`, may have been told this attempt: a
        post without a parent token in its run was answered so, or it is not known to have been. It
        is interrupted then, if it is no success, and costs no retry."""
        roots = {each.run_id: each for each in self.history.sends if _is_root(each)}
        root = roots.get(send.run_id)
        return (
            root is not None
            and send is not root
            and any(
                post.parent_token is None
                and (post.workflow, post.key) == (root.workflow, root.key)
                and post.url not in ("", root.url)
                and (post.problem == "suspended" or post.status is None)
                and (post.ended or send.began) >= send.began
                and (send.ended or post.began) >= post.began
                for post in self.history.posts
            )
        )

    def policy(self, send: Send) -> RetryPolicy:
        """The policy that the step was posted with."""
        for (key, url, workflow, _), policy in self.policies.items():
            if (key, url, workflow) == (send.key, send.url, send.workflow):
                return policy or DEFAULT_POLICY
        return DEFAULT_POLICY


def _parents(history: History) -> set[str]:
    """Steps whose functions posted others: with their parent token, or in their run."""
    parents: set[str] = set()
    roots = {(send.workflow, send.key): send.step_id for send in history.sends if _is_root(send)}
    for post in history.posts:
        if post.parent_token is not None:
            parents.add(post.parent_token.split(".")[0])
    for send in history.sends:
        if not _is_root(send):
            parents.add(send.run_id)
    parents.update(step_id for step_id in roots.values() if step_id in parents)
    return parents


def _is_root(send: Send) -> bool:
    return send.step_id == send.run_id


def check(history: History, library: Library | None = None) -> list[Wrong]:
    """Everything that is wrong with a history."""
    seen = Seen(history)
    rules: tuple[Callable[[Seen], Iterable[Wrong]], ...] = (
        lost, came_back, overwritten, back_in_time, invented, invoked_again, two_payloads,
        payload_changed, too_many, unasked, early, late, stale, key_of_two, refused, kept_waiting,
        repaired, called_as_set,
    )  # fmt: skip
    wrong = [found for rule in rules for found in rule(seen)]
    if library is not None:
        wrong += [*effects(seen, library), *undone(seen, library)]
    return wrong


# -- what clients may rely on --------------------------------------------------------------------


def lost(seen: Seen) -> Iterable[Wrong]:
    """R1: what was acknowledged has an outcome at the end, or is in a run that is paused."""
    looked = seen.history.last_looks_began
    gone = {post.run_id for post in seen.history.posts if post.is_expired and post.began > looked}
    for step_id, posts in seen.posts.items():
        acknowledged = [post for post in posts if post.acknowledged and post.began < looked]
        if not acknowledged:
            continue
        last = [post for post in posts if post.began > looked]
        if any(post.is_outcome for post in last) or acknowledged[0].run_id in gone:
            continue
        paused = acknowledged[0].run_id in seen.history.paused_runs
        if not (paused and any(post.acknowledged for post in last)):
            yield "R1", f"step {step_id} was acknowledged and has no outcome at the end"


def came_back(seen: Seen) -> Iterable[Wrong]:
    """R32: what was told to have gone is not told of, and not called, again."""
    gone: dict[str | None, int] = {}
    for post in seen.history.posts:
        if post.is_expired and post.ended is not None:
            gone[post.run_id] = min(post.ended, gone.get(post.run_id, post.ended))
    for post in seen.history.posts:
        if post.acknowledged and post.began > gone.get(post.run_id, post.began):
            yield "R32", f"run {post.run_id} had gone, and a post was told {post.body!r}"
    for send in seen.history.sends:
        if send.began > gone.get(send.run_id, send.began):
            yield "R32", f"run {send.run_id} had gone, and {send.step_id} was called"


def overwritten(seen: Seen) -> Iterable[Wrong]:
    """R2: a generation has one outcome; an identity has one run."""
    for step_id, posts in seen.posts.items():
        found: dict[int, bytes] = {}
        for post in posts:
            if post.is_outcome and found.setdefault(post.generation, post.body) != post.body:
                first = found[post.generation]
                yield "R2", f"step {step_id} ended as {first!r} and as {post.body!r}"
    runs: dict[tuple[str, str, str], str] = {}
    for post in seen.history.posts:
        if post.acknowledged and post.url and post.parent_token is None and post.run_id is not None:
            identity = (post.client, post.workflow, post.key)
            if runs.setdefault(identity, post.run_id) != post.run_id:
                yield "R2", f"{identity} is two runs: {runs[identity]} and {post.run_id}"


def back_in_time(seen: Seen) -> Iterable[Wrong]:
    """R3: once somebody has seen the outcome, nobody is told that the step is open."""
    for step_id, posts in seen.posts.items():
        first = seen.first_outcome.get(step_id)
        for post in posts:
            if first is None or post.began < first or post.is_outcome or not post.acknowledged:
                continue
            if not seen.reopened(post.run_id or "", post.ended or 0):
                yield "R3", f"step {step_id} had ended, and a later post was told {post.body!r}"


def invented(seen: Seen) -> Iterable[Wrong]:
    """R4: an outcome is what the endpoint answered, or follows from failed attempts."""
    for step_id, posts in seen.posts.items():
        for post in posts:
            if was_set(post):
                if not any(gives(act, post) for act in seen.acts[post.run_id or ""]):
                    yield "R4", f"nobody has set {post.body!r} for step {step_id}"
            elif post.status == 200:
                response = msgspec.json.decode(post.body)["response"]
                if not any(
                    answer.attempt == post.attempts
                    and answer.status == 200
                    and answer.response == response
                    for answer in seen.answers[step_id]
                ):
                    yield "R4", f"step {step_id} was never answered {post.body!r}"
            elif post.status == 424 and post.cause is None:
                yield from _failed_too_early(seen, step_id)


def _failed_too_early(seen: Seen, step_id: str) -> Iterable[Wrong]:
    sends = seen.sends[step_id]
    policy = seen.policy(sends[-1]) if sends else DEFAULT_POLICY
    if any(send.no_retry or send.status in policy.stop_on for send in sends):
        return
    counted = [send for send in sends if send.result not in ("crash", "open")]
    if len(counted) < 1 + policy.count:
        yield "R4", f"step {step_id} failed after {len(counted)} sends; {policy}"


def two_payloads(seen: Seen) -> Iterable[Wrong]:
    """R6: one payload is accepted under a key, or the answer says that it differed."""
    for step_id, posts in seen.posts.items():
        accepted: dict[int, bytes] = {}
        for post in posts:
            is_root = post.step_id == post.run_id
            told = post.is_outcome or (is_root and post.acknowledged)
            if not post.url or not told or post.differs:
                continue
            generation = 1 if is_root else post.generation
            if accepted.setdefault(generation, post.payload) == post.payload:
                continue
            if is_root or not seen.reopened(post.run_id or "", post.ended or 0):
                yield "R6", f"step {step_id}: {accepted[generation]!r} and {post.payload!r}"


def stale(seen: Seen) -> Iterable[Wrong]:
    """R11: a parent token of an attempt that is over records nothing new."""
    epochs = {life.number: life.epoch for life in seen.history.lives}
    ended = {
        (send.step_id, send.attempt, epochs[send.life]): send.ended
        for send in seen.history.sends
        if send.ended is not None
    }
    posted: dict[tuple[str, str, str, str], list[Post]] = defaultdict(list)
    for post in seen.history.posts:
        posted[post.client, post.workflow, post.key, post.step_key].append(post)
    for same in posted.values():
        for post in same:
            if post.parent_token is None or not post.acknowledged:
                continue
            step_id, attempt, epoch = post.parent_token.split(".")
            over = ended.get((step_id, int(attempt), int(epoch)))
            alone = [other for other in same if other.began < (post.ended or 0)] == [post]
            if alone and over is not None and over < post.began:
                yield (
                    "R11",
                    f"a post of {post.parent_token}, which was over, recorded {post.step_id}",
                )


# -- what endpoints may rely on ------------------------------------------------------------------


def invoked_again(seen: Seen) -> Iterable[Wrong]:
    """R5: a step whose outcome somebody has seen is not called any more."""
    for step_id, sends in seen.sends.items():
        first = seen.first_outcome.get(step_id)
        for send in sends:
            if first is None or send.began < first or seen.reopened(send.run_id, send.began):
                continue
            yield "R5", f"step {step_id} had ended, and attempt {send.attempt} was sent"


def key_of_two(seen: Seen) -> Iterable[Wrong]:
    """R23: the key that an endpoint is sent is the step's own: constant, and no other step's. Only
    a rerun gives another, the same with its number."""
    owners: dict[str, str] = {}
    keys: dict[str, str] = {}
    for send in seen.history.sends:
        if owners.setdefault(send.own_key, send.step_id) != send.step_id:
            yield "R23", f"{send.own_key} was sent for {owners[send.own_key]} and {send.step_id}"
        own_key = send.own_key
        if seen.acted(send.run_id, ("rerun",), 0, send.began):
            own_key = AGAIN.sub("", own_key)
        if keys.setdefault(send.step_id, own_key) != own_key:
            yield "R23", f"{send.step_id} was sent with {keys[send.step_id]} and {send.own_key}"


def payload_changed(seen: Seen) -> Iterable[Wrong]:
    """R7: all attempts of a generation carry the same bytes.

    But a child's first attempt may leave before its commit: if the engine dies over it, the child
    was never recorded, and may be posted with another payload.
    """
    for step_id, sends in seen.sends.items():
        for one, other in pairwise(sends):
            if one.payload == other.payload or seen.reopened(other.run_id, other.began):
                continue
            unrecorded = one.attempt == other.attempt == 1 and one.life != other.life
            if not unrecorded or _is_root(one):
                yield "R7", f"step {step_id}: {one.payload!r}, then {other.payload!r}"


def too_many(seen: Seen) -> Iterable[Wrong]:
    """R8: no more than the policy's attempts; each life of the engine may have lost one."""
    for step_id, sends in seen.sends.items():
        if step_id in seen.parents:
            continue
        policy = seen.policy(sends[0])
        fresh = [a for a in seen.acts[sends[0].run_id] if a.action in FRESH]
        lives = len({send.life for send in sends})
        allowed = (1 + policy.count) * (1 + len(fresh)) + lives - 1
        if len(sends) > allowed + sum(seen.maybe_told(send) for send in sends):
            yield "R8", f"step {step_id} was sent {len(sends)} times; allowed are {allowed}"


def unasked(seen: Seen) -> Iterable[Wrong]:
    """R9: each call was posted before, with this URL, key and payload."""
    asked: dict[tuple[str, str, str, bytes], int] = {}
    for post in seen.history.posts:
        if post.cut:
            continue
        asked.setdefault((post.workflow, post.key, post.url, post.payload), post.began)
    for send in seen.history.sends:
        if send.payload in payloads_set(seen.history, send.step_id, send.began):
            continue
        began = asked.get((send.workflow, send.key, send.url, send.payload))
        if began is None or began > send.began:
            yield "R9", f"nobody posted what was sent to {send.url}: {send.payload!r}"


def early(seen: Seen) -> Iterable[Wrong]:
    """R10: a retry does not leave before its back-off is over."""
    for step_id, sends in seen.sends.items():
        policy = seen.policy(sends[0])
        failures = 0
        for one, other in pairwise(sends):
            if one.ended is None or one.ended_at is None:
                continue
            if seen.acted(one.run_id, FRESH, one.began, other.began):
                failures = 0
                continue
            if one.life != other.life:
                need = _after_restart(seen, policy, one, other)
            elif step_id in seen.parents:
                need = _after_failure(policy, one, 1) if _surely_failed(seen, one) else 0
            elif seen.maybe_told(one):
                need = back_off_ms(policy, 1)  # it was interrupted, or has failed
            else:
                failures += 1
                need = _after_failure(policy, one, failures)
            waited = (other.at - one.ended_at) * 1000
            if waited < need - EARLY_MS:
                what = (
                    f"step {step_id}: attempt {other.attempt} came {waited:.0f} ms after the last"
                )
                yield "R10", f"{what}; its back-off is {need} ms"


def late(seen: Seen) -> Iterable[Wrong]:
    """R14: a retry leaves soon after its back-off, also if the wall clock was set back."""
    began = {life.number: life.at for life in seen.history.lives}
    for step_id, sends in seen.sends.items():
        if step_id in seen.parents or seen.acts[sends[0].run_id] or seen.history.few_places:
            continue
        policy = seen.policy(sends[0])
        for index, (one, other) in enumerate(pairwise(sends)):
            if other.attempt <= one.attempt:
                continue  # the step was lost with its life, and posted again
            since = began[other.life] if one.life != other.life else one.ended_at or one.at
            longest = back_off_ms(policy, index + 1) * (1 + policy.jitter)
            if (other.at - since) * 1000 > max(longest, one.retry_after_ms) + LATE_MS:
                waited = other.at - since
                what = f"step {step_id}: attempt {other.attempt} came after {waited:.0f} s"
                yield "R14", f"{what}; its back-off is at most {longest:.0f} ms"


def back_off_ms(policy: RetryPolicy, retry: int) -> int:
    """`min(backOff · factor^(n-1), maxBackOff)`: the contract's words, not the engine's code."""
    grown = policy.back_off_ms * policy.factor ** min(retry - 1, 60)
    return min(int(grown), policy.max_back_off_ms)


def _after_failure(policy: RetryPolicy, one: Send, retry: int) -> int:
    return max(back_off_ms(policy, retry), one.retry_after_ms)


def _after_restart(seen: Seen, policy: RetryPolicy, one: Send, other: Send) -> int:
    """At least the first back-off, less what the wall clock was set forward between the lives."""
    if other.attempt <= one.attempt or one.step_id in seen.parents:
        return 0  # the attempt was not recorded, or a child's end has woken the step
    lives = seen.history.lives
    numbers = [life.number for life in lives]
    between = lives[numbers.index(one.life) : numbers.index(other.life) + 1]
    shifts = [max(0, b.shift_ms - a.shift_ms) for a, b in pairwise(between)]
    return back_off_ms(policy, 1) - sum(shifts)


def _surely_failed(seen: Seen, send: Send) -> bool:
    """A function answered a failure, and all its attempt's posts were answered: no interruption."""
    if send.status is None or send.status < 300 or send.status in GATEWAY:
        return False
    if (send.step_id, send.attempt) in seen.history.sent_home:
        return False
    prefix = f"{send.step_id}.{send.attempt}."
    for post in seen.history.posts:
        mine = post.parent_token is not None and post.parent_token.startswith(prefix)
        bare = post.parent_token is None and (post.workflow, post.key) == (send.workflow, send.key)
        if (
            (mine or bare)
            and post.status not in (200, 202, 424)
            and post.at <= (send.ended_at or 0)
        ):
            return False
    return True


def effects(seen: Seen, library: Library) -> Iterable[Wrong]:
    """A completed run has done all that its program says, each thing under one key."""
    for name, keys in seen.history.effects.items():
        if len({AGAIN.sub("", key) for key in keys}) > 1:
            yield "effects", f"{name} was done under {len(keys)} keys: {list(keys)}"
    for step_id, posts in seen.posts.items():
        for post in posts:
            if post.status != 200 or step_id != post.run_id or not post.url:
                continue
            if seen.acted(step_id, REPAIRS, 0, post.ended or 0):
                continue  # it may have taken another way, and what was set was done by nobody
            program = library.programs[post.url.rpartition("/")[2]]
            value = value_in(post.body)
            if value != program.value or program.raises:
                yield (
                    "R4",
                    f"run {step_id} answered {value}; its program adds up to {program.value}",
                )
            for name in library.effects(program):
                if effect_of(post.client, name) not in seen.history.effects:
                    yield "effects", f"run {step_id} completed; {name} was never done"
