"""What clients and endpoints saw, in one order. The checker reads it; the engine wrote none of it.

Every record has `began`, and `ended` once its answer was seen: places in one sequence over all
records, so that "before" means before. Times are seconds of the simulation's own clock, which never
jumps; the engine's wall clock does.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import msgspec
import trio
from msgspec import Struct

from engine.core.retry import RetryPolicy

TEXT = "answered "
"""How an answer begins that is no JSON; its value follows."""
OUTCOMES = (200, 424)
"""Statuses that carry an outcome, with 409 `run-cancelled` of a step (it has an `id`)."""


class Post(Struct):
    """A post to the engine, or a look at an outcome (`url` empty), and the answer to it."""

    began: int
    at: float
    client: str
    workflow: str
    key: str
    url: str
    step_key: str
    payload: bytes
    life: int
    retry: RetryPolicy | None = None
    parent_token: str | None = None
    """Of the poster, without its signature: step.attempt.epoch."""
    ended: int | None = None
    ended_at: float | None = None
    status: int | None = None
    """None: no answer was seen. The post may or may not have been taken."""
    body: bytes = b""
    step_id: str | None = None
    run_id: str | None = None
    generation: int = 1
    attempts: int = 0
    problem: str | None = None
    cause: str | None = None
    differs: bool = False
    replayed: bool = False
    cut: bool = False
    """It did not come whole: it asks for nothing."""

    @property
    def is_outcome(self) -> bool:
        """The answer says how the step ended."""
        if self.status in OUTCOMES:
            return True
        return self.problem == "run-cancelled" and self.step_id is not None

    @property
    def is_expired(self) -> bool:
        """The answer says that the run has gone."""
        return self.problem == "outcome-expired"

    @property
    def is_over(self) -> bool:
        """There is no more to come."""
        return self.is_outcome or self.is_expired

    @property
    def acknowledged(self) -> bool:
        """The engine has promised that the step is recorded."""
        return self.is_outcome or (self.status in (202, 504) and self.step_id is not None)


def effect_of(client: str, name: str) -> str:
    """What names an effect: two clients may run one program, and each has effects of its own."""
    return f"{client}/{name}"


def value_in(body: bytes) -> object:
    """What an endpoint of the simulation has answered, out of an outcome; None: no such value."""
    response = msgspec.json.decode(body)["response"]
    if isinstance(response, str) and response.startswith(TEXT):
        return int(response[len(TEXT) :].partition(" ")[0])
    return response.get("v") if isinstance(response, dict) else None


class Send(Struct):
    """A request that the engine let out, as the network saw it."""

    began: int
    at: float
    life: int
    run_id: str
    step_id: str
    own_key: str
    workflow: str
    key: str
    url: str
    payload: bytes
    attempt: int
    ended: int | None = None
    ended_at: float | None = None
    result: str = "open"
    """`status NNN`, an error of the network, `cut` (the engine hung up), `crash`."""
    status: int | None = None
    retry_after_ms: int = 0
    suspend: bool = False
    no_retry: bool = False
    is_new: bool = False
    """It went to the URL to which the run was moved; `url` is what that is of the program."""


class Answer(Struct, frozen=True):
    """A whole answer that an endpoint gave."""

    step_id: str
    attempt: int
    status: int
    body: bytes
    is_text: bool = False
    """No JSON: as a response it is a string."""

    @property
    def response(self) -> object:
        """What the outcome must say."""
        return self.body.decode() if self.is_text else msgspec.json.decode(self.body or b"null")


class Act(Struct):
    """An operator's action."""

    began: int
    run_id: str
    action: str
    ended: int | None = None
    done: bool | None = None
    """None: the engine died over it; it may or may not have happened."""
    step_id: str | None = None
    given: bytes = b""
    """The result that is set for the step."""


REPAIRS = ("set-result", "skip")
"""Actions by which an operator says what came of a step."""


class LifeSpan(Struct):
    """One life of the engine. `shift_ms`: how far its wall clock is from the simulation's."""

    number: int
    began: int
    shift_ms: int
    at: float = 0.0
    ended: int | None = None
    how: str = ""
    epoch: int = 0
    """Of the parent tokens it issues; 0: it ended before it had opened the file."""


class History:
    """All of it, and a hash over it in the order it happened."""

    def __init__(self, trace: bool = False) -> None:
        self.posts: list[Post] = []
        self.sends: list[Send] = []
        self.answers: list[Answer] = []
        self.acts: list[Act] = []
        self.lives: list[LifeSpan] = []
        self.jobs: list[str] = []
        """Bulk jobs that somebody was told have begun."""
        self.effects: dict[str, Counter[str]] = {}
        """What endpoints did, once for each key of theirs: client/name of it → own keys."""
        self.notes: Counter[str] = Counter()
        """Faults and situations, counted."""
        self.wrong: list[tuple[str, str]] = []
        """What was seen to be wrong at once: (rule, what)."""
        self.paused_runs: frozenset[str] = frozenset()
        """Runs in which something was paused, with a reason, when all had come to rest."""
        self.sent_home: set[tuple[str, int]] = set()
        """Attempts (step, number) recorded as sent home: whatever they answered is no failure,
        also when the outcome overtook the word that they may go."""
        self.told_for_root: set[str] = set()
        """Tokens of attempts below the root of which a post without one was told `suspended`."""
        self.few_places = False
        """Calls queue for places: when one leaves is not the back-off's to say alone."""
        self.last_looks_began = 0
        """The place behind which every acknowledged step was looked at once more."""
        self._places = 0
        self._hash = hashlib.blake2b(digest_size=16)
        self._trace = trace

    def place(self) -> int:
        """The next place in the order of all things."""
        self._places += 1
        return self._places

    @property
    def length(self) -> int:
        """How many things have happened."""
        return self._places

    def log(self, *what: Any) -> None:
        """Add to the trace."""
        line = f"{trio.current_time():.4f} {' '.join(map(str, what))}"
        self._hash.update(line.encode())
        if self._trace:
            print(line)

    def note(self, what: str) -> None:
        """Count a fault or situation."""
        self.notes[what] += 1

    def fail(self, rule: str, what: str) -> None:
        """Something is wrong."""
        self.log("WRONG", rule, what)
        self.wrong.append((rule, what))

    def digest(self) -> str:
        """The trace's hash: the same for the same seed, in any process."""
        return self._hash.hexdigest()
