"""Random workflows whose answer and effects are known before they run.

A program is a list of commands; a command posts one call, or several at once. What a call's URL
says is what its endpoint does, so that the endpoint needs to know nothing else:

    /do/NAME            answers its value          /fail/HOW/NAME   never succeeds
    /flaky/N/NAME       fails N times, then does   /flow/NAME       runs the program NAME
"""

from __future__ import annotations

import zlib
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from engine.core.retry import DEFAULT_POLICY, OnExhausted, RetryPolicy

CALLS_MAX = 20
HOSTS = ("app0:9000", "app1:9000")
STOP_STATUS = 422
LETS_OUT = ("424", "424", "no-retry", "stop-on")
"""How a function says that the failure of a step ends it: a status, a header, its poster's list."""
STUMBLES = ("500", "503", "dies", "early-500", "early-dies")
"""What goes wrong with a function that was told of a failed step before it has compensated:
`early-…` is the execution after it, before that has posted anything, and so was told nothing."""


class Call(Struct, frozen=True):
    """One step that a function posts."""

    name: str
    url: str
    value: int
    """What it answers; of a flow: what its program adds up to."""
    retry: RetryPolicy | None
    parent_token: bool = True
    """Posted with the parent token of the function's own attempt; else it goes under the root."""
    own_key: bool = False
    """Posted under an idempotency key of its own."""
    step_key: str | None = None
    now: bool = False
    """Its payload is another in each execution."""
    fails: bool = False
    attempt_timeout_ms: int = 60_000
    pad: int = 0
    """So many characters more in its payload."""
    instead: Call | None = None
    """The compensation, when it fails."""
    stumbles: tuple[str, ...] = ()
    """What goes wrong before the compensation is posted, once each."""
    sloppy: bool = False
    """The function posts the compensation once, and lets the failure out if that fails."""

    @property
    def effect(self) -> str:
        """What its endpoint notes down as done."""
        return self.step_key or self.name


class Command(Struct, frozen=True):
    """Calls posted at once. With `suspend` the function does not wait for them."""

    calls: tuple[Call, ...]
    suspend: bool = False


class Program(Struct, frozen=True):
    """What a workflow function does. `raises`: its last call fails, and so does it."""

    name: str
    commands: tuple[Command, ...]
    raises: bool = False
    lets_out: str = "424"
    """How it says so, one of `LETS_OUT`."""

    @property
    def value(self) -> int:
        """What it answers."""
        return sum(
            call.instead.value if call.instead is not None else call.value
            for command in self.commands
            for call in command.calls
            if not call.fails or call.instead is not None
        )


class Library:
    """The programs of one seed, by name."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.programs: dict[str, Program] = {}
        self._left = 0

    def make(self, name: str, depth: int = 0) -> Program:
        """A new program, and those below it."""
        rng = self._rng
        if depth == 0:
            self._left = rng.randint(0, CALLS_MAX if rng.random() < 0.3 else 10)
        commands: list[Command] = []
        for index in range(rng.randint(1, 6 if depth == 0 else 3)):
            if self._left <= 0:
                break
            commands.append(self._command(f"{name}.{index}", depth))
        raises = rng.random() < 0.12
        if raises:
            commands.append(Command((self._failing(f"{name}.last", None),)))
        program = Program(name, tuple(commands), raises, rng.choice(LETS_OUT))
        self.programs[name] = program
        return program

    def effects(self, program: Program) -> list[str]:
        """What a completed run of it must have done, each once."""
        names: list[str] = []
        for command in program.commands:
            for call in command.calls:
                done = call.instead if call.fails else call
                if done is None:
                    continue
                below = self.programs.get(done.name)
                names += [done.effect] if below is None else self.effects(below)
        return names

    def _command(self, name: str, depth: int) -> Command:
        rng = self._rng
        draw = rng.random()
        if draw < 0.25:
            width = min(rng.randint(2, 4), max(1, self._left))
            calls = tuple(self._call(f"{name}.{i}", depth) for i in range(width))
        elif draw < 0.35:
            calls = self._loop(name)
        else:
            calls = (self._call(name, depth),)
        return Command(calls, suspend=rng.random() < 0.15)

    def _loop(self, name: str) -> tuple[Call, ...]:
        """One URL several times, told apart by `stepKey`."""
        times = min(self._rng.randint(2, 3), max(1, self._left))
        self._left -= times
        url = self._url("do", name)
        retry = self.patient()
        return tuple(
            Call(name, url, value_of(name), retry, step_key=f"{name}#{i}") for i in range(times)
        )

    def _call(self, name: str, depth: int) -> Call:
        rng = self._rng
        self._left -= 1
        draw = rng.random()
        if draw < 0.15 and depth < 3:
            return self._nested(name, depth)
        if draw < 0.30:
            return self._failing(name, self._plain(f"{name}!"), self._stumbles())
        if draw < 0.45:
            return self._plain(name, f"flaky/{rng.randint(1, 4)}")
        return self._plain(name)

    def _plain(self, name: str, how: str = "do") -> Call:
        rng = self._rng
        parent_token = (
            rng.random() < 0.7
        )  # without one, another key than the run's would open a run
        return Call(
            name,
            self._url(how, name),
            value_of(name),
            self._policy(),
            parent_token=parent_token,
            own_key=parent_token and rng.random() < 0.3,
            now=rng.random() < 0.1,
            attempt_timeout_ms=rng.choice((5_000, 20_000, 60_000)),
            pad=rng.choice((3_000, 20_000)) if rng.random() < 0.05 else 0,
        )

    def _failing(self, name: str, instead: Call | None, stumbles: tuple[str, ...] = ()) -> Call:
        how = self._rng.choice(("always", "stop", "no-retry"))
        count = self._rng.randint(0, 2)
        stop_on = (STOP_STATUS,) if how == "stop" else ()
        retry = RetryPolicy(count=count, back_off_ms=500, stop_on=stop_on)
        return Call(
            name, self._url(f"fail/{how}", name), 0, retry, fails=True, instead=instead,
            stumbles=stumbles, sloppy=self._rng.random() < 0.3,
        )  # fmt: skip

    def _stumbles(self) -> tuple[str, ...]:
        if self._rng.random() < 0.4:
            return ()
        return tuple(self._rng.choices(STUMBLES, k=self._rng.randint(1, 4)))

    def _nested(self, name: str, depth: int) -> Call:
        program = self.make(name, depth + 1)
        instead = self._plain(f"{name}!") if program.raises else None
        return Call(
            name,
            self._url("flow", name),
            program.value,
            self.for_flow(program, self._rng.choice((self.patient(), self._hasty()))),
            own_key=self._rng.random() < 0.3,
            fails=program.raises,
            attempt_timeout_ms=self._rng.choice((20_000, 60_000)),
            instead=instead,
            stumbles=() if instead is None else self._stumbles(),
        )

    def for_flow(self, program: Program, retry: RetryPolicy | None) -> RetryPolicy | None:
        """The policy under which the program is posted: with the status by which it lets out."""
        if program.lets_out != "stop-on":
            return retry
        return replace(retry or DEFAULT_POLICY, stop_on=(STOP_STATUS,))

    def any_policy(self) -> RetryPolicy | None:
        """Of a root: none of its own, one that no storm outlasts, one that is soon used up."""
        return self._rng.choice((None, self.patient(), self._hasty()))

    def _hasty(self) -> RetryPolicy:
        """A policy that a function's own mistakes use up."""
        on_exhausted = self._rng.choice((None, None, None, OnExhausted.FAIL))
        count = self._rng.randint(0, 2)
        return RetryPolicy(count=count, back_off_ms=500, on_exhausted=on_exhausted)

    def _url(self, how: str, name: str) -> str:
        return f"http://{self._rng.choice(HOSTS)}/{how}/{name}"

    def _policy(self) -> RetryPolicy | None:
        """Mostly one that no storm outlasts; sometimes the default; sometimes one that pauses."""
        draw = self._rng.random()
        if draw < 0.15:
            return None
        if draw < 0.2:
            return RetryPolicy(count=2, back_off_ms=300, on_exhausted=OnExhausted.PAUSE)
        return self.patient()

    def patient(self) -> RetryPolicy:
        """A policy that no storm outlasts."""
        rng = self._rng
        return RetryPolicy(
            count=1_000,
            back_off_ms=rng.choice((200, 1_000, 2_000)),
            factor=rng.choice((1.0, 2.0)),
            max_back_off_ms=rng.choice((5_000, 20_000)),
            jitter=rng.choice((0.0, 0.1, 1.0)),
        )


def value_of(name: str) -> int:
    """What the endpoint of this name answers."""
    return zlib.crc32(name.encode()) % 1_000
