"""The HTTP contract as types: what is posted, what is answered, and the problem types.

Imported by the front, the client and the dashboard. Field names on the wire are camelCase; readers
accept unknown members, the engine refuses them in what it is sent.
"""

from engine.core.errors import EngineError, Problem
from engine.core.failure import ENGINE_CRASHED, ENGINE_STOPPED, Failure, FailureKind
from engine.core.filter import ABOUT, IS_WORDS, BadFilter, parse
from engine.core.model import DelayBy, PauseReason
from engine.core.outcome import CallError
from engine.core.retry import RetryPolicy
from engine.core.rules.action import BEYOND_A_JOB, FITS, Action
from engine.core.rules.hold import RATE_PER_S_MAX, HoldKind, names_of_host
from engine.core.text.json_text import StandIns, json_fault
from engine.wire.backup import BackupProgress, BackupRequest, BackupRow, BackupStatus
from engine.wire.events import Event, Fact, Other, Reset
from engine.wire.limits import ClientUse, LimitUsed
from engine.wire.names import unseen
from engine.wire.operate import (
    ACTOR_CHARACTERS_MAX,
    ACTOR_PATTERN,
    ActionAnswer,
    ActionRequest,
    BulkAnswer,
    BulkList,
    BulkRequest,
    HoldList,
    HoldRequest,
    MovedStep,
    NamedStep,
    ReleaseRequest,
)
from engine.wire.problems import PROBLEMS, Cause, LastAttempt, ProblemDocument, problem
from engine.wire.status import (
    BadFileRow,
    Limits,
    Memory,
    OwnToken,
    Rates,
    RunCounts,
    Status,
    StoreStatus,
    status_of,
)
from engine.wire.submit import (
    CLIENT_PATTERN,
    PRINTABLE,
    RESERVED_CLIENTS,
    OpenAnswer,
    OutcomeAnswer,
    Submission,
    SubmitOptions,
)
from engine.wire.view import (
    AttemptRow,
    CauseList,
    CauseRow,
    DueBucket,
    HoldRow,
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
    "ENGINE_CRASHED",
    "ENGINE_STOPPED",
    "FITS",
    "IS_WORDS",
    "PRINTABLE",
    "PROBLEMS",
    "RATE_PER_S_MAX",
    "RESERVED_CLIENTS",
    "Action",
    "ActionAnswer",
    "ActionRequest",
    "AttemptRow",
    "BackupProgress",
    "BackupRequest",
    "BackupRow",
    "BackupStatus",
    "BadFileRow",
    "BadFilter",
    "BulkAnswer",
    "BulkList",
    "BulkRequest",
    "CallError",
    "Cause",
    "CauseList",
    "CauseRow",
    "ClientUse",
    "DelayBy",
    "DueBucket",
    "EngineError",
    "Event",
    "Fact",
    "Failure",
    "FailureKind",
    "HoldKind",
    "HoldList",
    "HoldRequest",
    "HoldRow",
    "HostRow",
    "LastAttempt",
    "LimitUsed",
    "Limits",
    "Memory",
    "MoveRow",
    "MovedStep",
    "NamedStep",
    "OpenAnswer",
    "Other",
    "OutcomeAnswer",
    "OwnToken",
    "PauseReason",
    "Problem",
    "ProblemDocument",
    "Rates",
    "Reason",
    "ReleaseRequest",
    "Reset",
    "RetryPage",
    "RetryPolicy",
    "RetryRow",
    "RunCounts",
    "RunPage",
    "RunRow",
    "RunTree",
    "StandIns",
    "StandstillRow",
    "Status",
    "StepAt",
    "StepRow",
    "StoreStatus",
    "Submission",
    "SubmitOptions",
    "json_fault",
    "names_of_host",
    "parse",
    "problem",
    "status_of",
    "step_label",
    "unseen",
]
