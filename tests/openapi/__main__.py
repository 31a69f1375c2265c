"""`just schemathesis`: asks a real engine what its own description says it takes, and more.

just schemathesis --examples 200 --seed 7
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import trio

from tests.openapi.trial import a_trial, ask_all


async def main() -> int:
    """Both ways, and 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=50)
    parser.add_argument("--only", choices=("open", "tokens"))
    asked, more = parser.parse_known_args()
    found = 0
    for has_tokens in (False, True):
        if asked.only == ("open" if has_tokens else "tokens"):
            continue
        with tempfile.TemporaryDirectory() as directory:
            async with a_trial(Path(directory), has_tokens=has_tokens) as trial:
                code, text = await ask_all(trial, *more, seed=asked.seed, examples=asked.examples)
            print(text)
            found |= code
    return int(bool(found))


sys.exit(trio.run(main))
