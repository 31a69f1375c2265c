"""The HTTP contract as types: what is posted, what is answered, and the problem types.

Imported by the front, the client and the dashboard. Field names on the wire are camelCase; readers
accept unknown members, the engine refuses them in what it is sent.
"""

from engine.core.actions import BEYOND_A_JOB, FITS, Action
from engine.core.errors import EngineError, Problem
from engine.core.filter import ABOUT, IS_WORDS, BadFilter, parse
from engine.core.json_text import StandIns, json_fault
from engine.core.retry import RetryPolicy
from engine.wire.names import unseen
from engine.wire.operate import (
    ACTOR_CHARACTERS_MAX,
    ACTOR_PATTERN,
    ActionAnswer,
    ActionRequest,
    BulkAnswer,
    BulkList,
    BulkRequest,
    MovedStep,
    NamedStep,
)
from engine.wire.problems import (
    PROBLEMS,
    Cause,
    LastAttempt,
    ProblemDocument,
    ProblemType,
    problem,
)
from engine.wire.submit import (
    CLIENT_PATTERN,
    PRINTABLE,
    RESERVED_CLIENTS,
    Key,
    Name,
    OpenAnswer,
    OutcomeAnswer,
    StepKey,
    Submission,
)
from engine.wire.view import (
    AttemptRow,
    CauseList,
    CauseRow,
    DueBucket,
    EventData,
    HostRow,
    MoveRow,
    Reason,
    RetryPage,
    RetryRow,
    RunPage,
    RunRow,
    RunTree,
    StandstillRow,
    StepAt,
    StepRow,
    step_label,
)

__all__ = [
    "ABOUT",
    "ACTOR_CHARACTERS_MAX",
    "ACTOR_PATTERN",
    "BEYOND_A_JOB",
    "CLIENT_PATTERN",
    "FITS",
    "IS_WORDS",
    "PRINTABLE",
    "PROBLEMS",
    "RESERVED_CLIENTS",
    "Action",
    "ActionAnswer",
    "ActionRequest",
    "AttemptRow",
    "BadFilter",
    "BulkAnswer",
    "BulkList",
    "BulkRequest",
    "Cause",
    "CauseList",
    "CauseRow",
    "DueBucket",
    "EngineError",
    "EventData",
    "HostRow",
    "Key",
    "LastAttempt",
    "MoveRow",
    "MovedStep",
    "Name",
    "NamedStep",
    "OpenAnswer",
    "OutcomeAnswer",
    "Problem",
    "ProblemDocument",
    "ProblemType",
    "Reason",
    "RetryPage",
    "RetryPolicy",
    "RetryRow",
    "RunPage",
    "RunRow",
    "RunTree",
    "StandIns",
    "StandstillRow",
    "StepAt",
    "StepKey",
    "StepRow",
    "Submission",
    "json_fault",
    "parse",
    "problem",
    "step_label",
    "unseen",
]
