"""Strangers' bytes: whatever comes, each parser takes it or refuses it in its own words.

One property for each parser that reads what an application, an endpoint, a page or a file says. Run
with the other tests they draw a hundred examples each; `just fuzz` draws for as long as it is told,
other ones each time. `ELSEWHERE` names the properties that stand beside what
they are of.
"""

from __future__ import annotations

ELSEWHERE = (
    "tests/front/server/test_strict.py",  # requests: heads, framing, cuts
    "tests/call/test_fuzz.py",  # answers of endpoints
    "tests/core/test_json_text.py",  # JSON, also with halves of characters
    "tests/core/test_slices.py",  # large payloads, read in pieces
    "tests/core/test_fingerprint.py",  # equal payloads
    "tests/core/test_filter.py",  # the filter language
    "tests/core/test_target.py",  # paths that step out of a target
    "tests/core/test_excerpt.py",  # excerpts of answers
    "tests/shown/test_text.py",  # text made safe
    "tests/store/test_filter.py",  # filters as SQL
    "tests/tui/text/test_sanitize.py",  # text on the dashboard
    "tests/tui/text/test_redact.py",  # secrets in bodies
    "tests/tui/boards/test_bodies.py",  # bodies as lines
    "tests/tui/data/test_fold.py",  # members of events
)
