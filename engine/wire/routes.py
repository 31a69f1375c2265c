"""Every route once. The rules that the engine serves, the OpenAPI document and the client's calls
are made from this table, and so cannot differ.

`role` is what an access token must allow (`docs/reference/protocol.md` §7), as soon as the engine
asks for one.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

from engine.core.access.roles import ALLOWS
from engine.core.access.token import Role as Role
from engine.core.rules.action import Action
from engine.wire.access import (
    BACKUP_FAILED,
    BACKUP_MADE,
    RESTORE,
    TOKEN_REFUSED,
    AuditPage,
    ClientAnswer,
    ClientList,
    ClientRequest,
    ClientRow,
    NoMembers,
    RedactRequest,
    RotateRequest,
    SigningAnswer,
    SigningRemoval,
    TargetsRequest,
    TokenAnswer,
    TokenList,
    TokenRequest,
    TokenRow,
)
from engine.wire.alerts import AlertTest
from engine.wire.backup import BackupProgress, BackupRequest
from engine.wire.doctor import DoctorAnswer
from engine.wire.limits import LimitsList, LimitsRequest, LimitsRow, ResetRequest
from engine.wire.operate import (
    ActionAnswer,
    ActionRequest,
    BulkAnswer,
    BulkList,
    BulkRequest,
    DismissRequest,
    HoldList,
    HoldRequest,
    NoteRequest,
    ReleaseRequest,
)
from engine.wire.retention import PruneAnswer, PruneRequest
from engine.wire.status import PageLink, WhoAmI
from engine.wire.submit import OutcomeAnswer, Submission
from engine.wire.view import (
    CauseList,
    DismissalRow,
    HoldRow,
    NoteRow,
    RetryPage,
    RunPage,
    RunTree,
    StepRow,
)

T_co = TypeVar("T_co", covariant=True)
WHOLE = "whole"
"""Of a body: also what its client hides. For the role `admin`, and kept in the audit."""
DISMISSED = "dismissed"
"""Of causes: also those that were dismissed and have not come again."""


class Route(Struct, Generic[T_co], frozen=True):
    """A method of a path, and what it answers when it does as asked."""

    method: Literal["GET", "POST"]
    path: str
    """With each name that is filled in in braces: `/api/v1/runs/{id}`."""
    role: Role | None
    """What a token must allow; None: whoever asks."""
    answer: type[T_co]
    """`bytes` for what is no JSON; `dict` for JSON without a schema (the status: `status_of`)."""
    summary: str
    queries: tuple[str, ...] = ()
    body: type[Struct] | None = None
    any_role: bool = False
    """A token of any role will do."""
    of_all: bool = False
    """It tells of all clients at once: not for a token that is bound to one."""
    form: bool = False
    """Its body is what a form of a page sends, and no JSON."""
    act: str = ""
    """What the audit calls it, in the words of the command; of an action and a bulk job what goes
    before its own name. Every route that changes something for operators or admins has one, and
    those of bodies for when all of one is asked for."""

    def opens_to(self, role: Role) -> bool:
        """Whether a token of this role may ask for it."""
        return self.role is None or self.any_role or self.role in ALLOWS[role]


# fmt: off
SUBMIT = Route("POST", "/{client}", Role.SUBMIT, OutcomeAnswer,
               "Submit a workflow or a step, and wait for its recorded outcome.", body=Submission)
STATUS = Route("GET", "/api/v1/status", Role.READ, dict, "The engine itself.")
WHOAMI = Route("GET", "/api/v1/whoami", Role.READ, WhoAmI, "The token that one has.",
               any_role=True)
RUNS = Route("GET", "/api/v1/runs", Role.READ, RunPage, "Runs, newest first.",
             ("client", "workflow", "key", "status", "q", "sort", "cursor", "limit"))
RUN = Route("GET", "/api/v1/runs/{id}", Role.READ, RunTree, "A run and its steps.")
ACT = Route("POST", "/api/v1/runs/{id}/actions", Role.OPERATE, ActionAnswer,
            "Carry out an operator's action.", body=ActionRequest, act="action")
CAUSES = Route("GET", "/api/v1/causes", Role.READ, CauseList, "Why runs need a person.",
               (DISMISSED,))
CAUSE_NOTE = Route("POST", "/api/v1/causes/{cause}/notes", Role.OPERATE, NoteRow,
                   "Write a note of a cause.", body=NoteRequest, act="causes note")
CAUSE_UNNOTE = Route("POST", "/api/v1/causes/{cause}/notes/{number}/remove", Role.OPERATE, NoteRow,
                     "Take a note of a cause back.", body=NoMembers, act="causes unnote")
CAUSE_DISMISS = Route("POST", "/api/v1/causes/{cause}/dismiss", Role.OPERATE, DismissalRow,
                      "Dismiss a cause until it comes again.", body=DismissRequest,
                      act="causes dismiss")
CAUSE_UNDISMISS = Route("POST", "/api/v1/causes/{cause}/undismiss", Role.OPERATE, DismissalRow,
                        "Put a dismissed cause back on the list.", body=NoMembers,
                        act="causes undismiss")
RETRIES = Route("GET", "/api/v1/retries", Role.READ, RetryPage, "What is tried next, by time.",
                ("q", "cursor", "limit"))
BULK = Route("POST", "/api/v1/bulk", Role.OPERATE, BulkAnswer,
             "One action on every run that a filter finds.", body=BulkRequest, act="bulk")
JOBS = Route("GET", "/api/v1/bulk", Role.READ, BulkList, "Bulk jobs, the latest first.",
             ("cursor", "limit"))
JOB = Route("GET", "/api/v1/bulk/{id}", Role.READ, BulkAnswer, "A bulk job.")
ABORT = Route("POST", "/api/v1/bulk/{id}/abort", Role.OPERATE, BulkAnswer,
              "Stop a bulk job; what it has done stays done.", body=NoMembers, act="bulk abort")
HOLDS = Route("GET", "/api/v1/holds", Role.READ, HoldList, "What is held, and why.")
HOLD = Route("POST", "/api/v1/holds", Role.OPERATE, HoldRow,
             "Start nothing of a client, of a workflow or to a host.", body=HoldRequest,
             of_all=True, act="hold")
RELEASE = Route("POST", "/api/v1/holds/release", Role.OPERATE, HoldRow,
                "Let what was held start again.", body=ReleaseRequest, of_all=True, act="release")
PRUNE = Route("POST", "/api/v1/prune", Role.ADMIN, PruneAnswer,
              "Remove runs that ended longer ago than they are kept.", body=PruneRequest,
              of_all=True, act="prune")
STEP = Route("GET", "/api/v1/steps/{id}", Role.READ, StepRow, "A step.")
OUTCOME = Route("GET", "/api/v1/steps/{id}/outcome", Role.SUBMIT, OutcomeAnswer,
                "A step's outcome; waits.")
PAYLOAD = Route("GET", "/api/v1/steps/{id}/payload", Role.OPERATE, bytes,
                "A step's payload, raw; with which a generation of it was called.",
                (WHOLE, "generation"), act="body --whole --payload")
LAST_ANSWER = Route("GET", "/api/v1/steps/{id}/response", Role.OPERATE, bytes,
                    "The last attempt's answer, raw, or a result that was set; that of a"
                    " generation.", (WHOLE, "generation"), act="body --whole")
ANSWER = Route("GET", "/api/v1/steps/{id}/attempts/{number}/response", Role.OPERATE, bytes,
               "An attempt's answer, raw.", (WHOLE,), act="body --whole --attempt")
EVENTS = Route("GET", "/api/v1/events", Role.READ, bytes,
               "Server-Sent Events, resumable with Last-Event-ID.", ("since",))
CLIENTS = Route("GET", "/api/v1/clients", Role.ADMIN, ClientList, "Clients, by name.")
AUDIT = Route("GET", "/api/v1/audit", Role.ADMIN, AuditPage,
              "What people did, and tokens that were refused, newest first.",
              ("since", "actor", "act", "what", "cursor", "limit"))
LIMITS = Route("GET", "/api/v1/limits", Role.READ, LimitsList,
               "What clients and hosts may take, and who says so.", of_all=True)
LIMITS_SET = Route("POST", "/api/v1/limits", Role.ADMIN, LimitsRow,
                   "Set limits of a client or a host.", body=LimitsRequest, act="limits set")
LIMITS_RESET = Route("POST", "/api/v1/limits/reset", Role.ADMIN, LimitsRow,
                     "Take back what was set at run time.", body=ResetRequest, act="limits reset")
DOCTOR = Route("GET", "/api/v1/doctor", Role.ADMIN, DoctorAnswer,
               "Durability, disk, clock, files, targets: what is not as it should be.")
BACKUP = Route("POST", "/api/v1/backups", Role.ADMIN, BackupProgress,
               "Make a copy of the record; the status tells what comes of it.",
               body=BackupRequest, act="backup")
ALERTS_TEST = Route("POST", "/api/v1/alerts/test", Role.ADMIN, AlertTest,
                    "Send an alert, to see whether it comes.", body=NoMembers, act="alerts test")
CLIENT_ADD = Route("POST", "/api/v1/clients", Role.ADMIN, ClientAnswer,
                   "Make a client known, and a token to post as it.", body=ClientRequest,
                   act="client add")
CLIENT_TARGETS = Route("POST", "/api/v1/clients/{name}/targets", Role.ADMIN, ClientRow,
                       "Change where a client's steps may be called.", body=TargetsRequest,
                       act="client targets")
CLIENT_REDACT = Route("POST", "/api/v1/clients/{name}/redact", Role.ADMIN, ClientRow,
                      "Change what of a client's bodies people are not shown.",
                      body=RedactRequest, act="client redact")
CLIENT_SIGN = Route("POST", "/api/v1/clients/{name}/secrets", Role.ADMIN, SigningAnswer,
                    "Sign a client's calls with a new secret; it is shown this once.",
                    body=NoMembers, act="client secret add")
CLIENT_UNSIGN = Route("POST", "/api/v1/clients/{name}/secrets/remove", Role.ADMIN, ClientRow,
                      "Sign its calls with the older secret no more.", body=SigningRemoval,
                      act="client secret rm")
CLIENT_DISABLE = Route("POST", "/api/v1/clients/{name}/disable", Role.ADMIN, ClientRow,
                       "Refuse a client's posts.", body=NoMembers, act="client disable")
CLIENT_ENABLE = Route("POST", "/api/v1/clients/{name}/enable", Role.ADMIN, ClientRow,
                      "Take them again.", body=NoMembers, act="client enable")
CLIENT_REMOVE = Route("POST", "/api/v1/clients/{name}/remove", Role.ADMIN, ClientRow,
                      "Forget a client, and its tokens.", body=NoMembers, act="client rm")
TOKENS = Route("GET", "/api/v1/tokens", Role.ADMIN, TokenList, "Tokens, by name.")
TOKEN_ADD = Route("POST", "/api/v1/tokens", Role.ADMIN, TokenAnswer,
                  "Make a token; its secret is shown this once.", body=TokenRequest,
                  act="token add")
TOKEN_ROTATE = Route("POST", "/api/v1/tokens/{name}/rotate", Role.ADMIN, TokenAnswer,
                     "Give a token another secret.", body=RotateRequest, act="token rotate")
TOKEN_REMOVE = Route("POST", "/api/v1/tokens/{name}/remove", Role.ADMIN, TokenRow,
                     "Take a token away.", body=NoMembers, act="token rm")
PROBLEM = Route("GET", "/problems/{name}", None, bytes, "The page of a problem type.")
PROBLEMS = Route("GET", "/problems/", None, bytes, "All problem types.")
HEALTH = Route("GET", "/healthz", None, bytes, "Liveness.")
READY = Route("GET", "/readyz", None, bytes, "Readiness.")
METRICS = Route("GET", "/metrics", Role.READ, bytes, "Prometheus metrics.", of_all=True)
OPENAPI = Route("GET", "/openapi.json", Role.READ, dict, "This description.")
# fmt: on

ROUTES: tuple[Route[Any], ...] = tuple(it for it in list(globals().values()) if type(it) is Route)
"""All of the above, in their order."""

UNKNOWN_ACTION = "?"
BEFORE_ACTION = {ACT: "", BULK: f"{BULK.act} "}
"""Routes of which the member `action` says what is done, and what goes before it in the audit."""
ACTS = frozenset(
    {TOKEN_REFUSED, RESTORE, BACKUP_MADE, BACKUP_FAILED}
    | {it.act for it in ROUTES if it.act and it not in BEFORE_ACTION}
    | {f"{before}{it}" for before in BEFORE_ACTION.values() for it in (*Action, UNKNOWN_ACTION)}
)
"""What the audit calls all that is kept in it."""

# fmt: off
UI = Route("GET", "/ui", Role.READ, bytes, "Whether all is well.")
UI_RUNS = Route("GET", "/ui/runs", Role.READ, bytes, "Runs that a filter finds.", ("q", "cursor"))
UI_RUN = Route("GET", "/ui/runs/{id}", Role.READ, bytes, "A run and its steps.",
               ("below", "step", "page"))
UI_EVENTS = Route("GET", "/ui/runs/{id}/events", Role.READ, bytes,
                  "When the page of a run has changed.", ("seen",))
UI_FILE = Route("GET", "/ui/runs/{id}/file", Role.READ, bytes, "A run as one file.", ("bodies",))
UI_PAYLOAD = Route("GET", "/ui/steps/{id}/payload", Role.OPERATE, bytes, "A step's payload.",
                   ("file",))
UI_LAST_ANSWER = Route("GET", "/ui/steps/{id}/response", Role.OPERATE, bytes,
                       "What came of a step.", ("file",))
UI_ANSWER = Route("GET", "/ui/steps/{id}/attempts/{number}/response", Role.OPERATE, bytes,
                  "An attempt's answer.", ("file",))
UI_STUCK = Route("GET", "/ui/stuck", Role.READ, bytes, "What needs a person.", (DISMISSED,))
UI_JOBS = Route("GET", "/ui/jobs", Role.READ, bytes, "Bulk jobs.", ("cursor",))
UI_JOB = Route("GET", "/ui/jobs/{id}", Role.READ, bytes, "A bulk job.")
UI_LOGIN = Route("GET", "/ui/login", None, bytes, "Where a token is given.", ("next", "code"))
UI_LOG_IN = Route("POST", "/ui/login", None, bytes, "Begin a login.", form=True)
UI_CODE = Route("POST", "/ui/codes", Role.READ, PageLink, "A link that logs a browser in, once.",
                body=NoMembers)
UI_LOGOUT = Route("GET", "/ui/logout", None, bytes, "End it.")
UI_ASSET = Route("GET", "/ui/static/{name}", None, bytes, "What pages are made of beside HTML.")
UI_ELSE = Route("GET", "/ui/{path:rest}", Role.READ, bytes, "There is no such page.")
# fmt: on
PAGES: tuple[Route[Any], ...] = (
    UI,
    UI_RUNS,
    UI_RUN,
    UI_EVENTS,
    UI_FILE,
    UI_PAYLOAD,
    UI_LAST_ANSWER,
    UI_ANSWER,
    UI_STUCK,
    UI_JOBS,
    UI_JOB,
    UI_LOGIN,
    UI_LOG_IN,
    UI_CODE,
    UI_LOGOUT,
    UI_ASSET,
    UI_ELSE,
)  # fmt: skip
"""Pages for people: HTML, which says the same as the routes above and may look otherwise in each
version. So they are no part of the description for machines."""
