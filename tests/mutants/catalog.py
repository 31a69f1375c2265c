"""What a planted bug is, and how it comes into the engine. How to add one: the package's words."""

from __future__ import annotations
import __future__

import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import CodeType, FunctionType
from typing import Any

from msgspec import Struct

SIMULATION = "simulation"
KILLS = "kills"
PROPERTY = "property"


class Planting:
    """Changes the engine of this process; `undo` takes everything back."""

    def __init__(self) -> None:
        self._undo = ExitStack()

    def rewrite(self, function: Callable[..., Any], was: str, becomes: str) -> None:
        """Change one place in the source of a function without decorators that add to it. Both
        texts are indented as if `def` stood at the margin.

        Its code is exchanged in place, so whoever has imported the function by name has the bug
        too. Raises ValueError when `was` is not there exactly once: the engine has moved on, and
        the bug must be planted anew.
        """
        assert isinstance(function, FunctionType), function
        source = textwrap.dedent(inspect.getsource(function))
        if source.count(was) != 1:
            what = f"{function.__module__}.{function.__qualname__}"
            raise ValueError(f"{what} has {was!r} {source.count(was)} times, not once")
        self.code(function, _code_of(source.replace(was, becomes), function))

    def code(self, function: FunctionType, code: CodeType) -> None:
        """Exchange a function's code in place."""
        self._undo.callback(setattr, function, "__code__", function.__code__)
        function.__code__ = code

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute of a module or class that must be there. Those who have imported it by
        name keep the old one. Raises AttributeError."""
        self._undo.callback(setattr, owner, name, inspect.getattr_static(owner, name))
        setattr(owner, name, value)

    def undo(self) -> None:
        """The engine is as it was."""
        self._undo.close()


def _code_of(source: str, function: FunctionType) -> CodeType:
    """The code of one function of this source, with the file's own way with annotations."""
    flags = __future__.annotations.compiler_flag
    module = compile(source, f"<planted in {function.__qualname__}>", "exec", flags)
    codes = [const for const in module.co_consts if isinstance(const, CodeType)]
    (code,) = [code for code in codes if code.co_name == function.__name__]
    return code


class Mutant(Struct, frozen=True):
    """One bug, and who must find it."""

    name: str
    what: str
    """What is planted, in one line."""
    plant: Callable[[Planting], None]
    by: tuple[str, ...]
    """Each of these must find it."""
    rules: tuple[str, ...]
    """Rules of the simulation that count as found."""
    test: str
    """The test that must fail, as pytest names it."""
    slow_sync_ms: int
    """How long the disk takes for a sync in the kills; 0: as long as it does."""

    @contextmanager
    def planted(self) -> Iterator[None]:
        """With the bug in the engine of this process."""
        planting = Planting()
        try:
            self.plant(planting)
            yield
        finally:
            planting.undo()


_found: dict[str, Mutant] = {}


def plant(
    what: str,
    *,
    by: tuple[str, ...] = (SIMULATION,),
    rules: tuple[str, ...] = (),
    test: str = "",
    slow_sync_ms: int = 0,
) -> Callable[[Callable[[Planting], None]], Callable[[Planting], None]]:
    """Enter a function that plants a bug into the catalog, under its own name."""
    if (SIMULATION in by) is not bool(rules) or (PROPERTY in by) is not bool(test):
        raise ValueError(f"{what}: the simulation needs `rules`, a property its `test`")

    def enter(function: Callable[[Planting], None]) -> Callable[[Planting], None]:
        name = function.__name__.replace("_", "-")
        if name in _found:
            raise ValueError(f"two bugs are called {name}")
        _found[name] = Mutant(name, what, function, by, rules, test, slow_sync_ms)
        return function

    return enter


def catalog() -> dict[str, Mutant]:
    """Every bug of the files in `planted/`, by name, in the order of files and lines."""
    package = importlib.import_module("tests.mutants.planted")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(_found)
