"""What systems do each in a way of their own. Outside this room nothing asks what it runs on.

There are two ways: Linux's, and one that needs no more than POSIX and Python, for macOS. Of the
second nothing stands here that does not run on Linux too, but for the sync of `files.sync`:
`TEST_ATOMIC_PORTABLE=1` in the environment chooses it, and tests of the contract pass with it
(`tests/e2e/test_portable.py`). That variable is for tests: it makes nothing better.
"""

from __future__ import annotations

import os
import sys

IS_LINUX = sys.platform == "linux" and not os.environ.get("TEST_ATOMIC_PORTABLE")
"""Linux's way is taken."""
