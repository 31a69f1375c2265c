"""`python -m tests.mutants.plant NAME MODULE ARGUMENTS`: a module as a program, with a bug in it.

For what runs the engine in processes of its own: the kill campaign, and pytest.
"""

from __future__ import annotations

import runpy
import sys

from tests.mutants.catalog import catalog


def main() -> None:
    """Plant, then be the other program."""
    _, name, module, *arguments = sys.argv
    sys.argv = [module, *arguments]
    with catalog()[name].planted():
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
