"""`python -m tests.contract` plays every scene and says what differs from the recording; with
`--record` the recording is made anew. Look at the difference in git before you commit it: the
contract changes only on purpose.
"""

from __future__ import annotations

import sys

from tests.contract import promises, recording


def main() -> int:
    """Play all scenes; 1 where they differ."""
    played = recording.play_all()
    if "--record" in sys.argv[1:]:
        recording.write(played)
        promises.write()
        return 0
    different = recording.difference(recording.read(), played)
    print(different or "The contract is as it was recorded.")
    return 1 if different else 0


sys.exit(main())
