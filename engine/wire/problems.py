"""The problem types: a closed list, each with its status, its title and its page (RFC 9457)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from engine.core.errors import Problem


class Cause(Struct, frozen=True, rename="camel"):
    """The step that made another one fail."""

    step_id: str
    step_name: str


class LastAttempt(Struct, frozen=True, rename="camel"):
    """How the last attempt of a failed step ended."""

    http_status: int | None = None
    error: str | None = None
    excerpt: str | None = None
    """Why, in one line of at most 120 bytes: what its answer says, or its connection."""


class ProblemDocument(Struct, rename="camel"):
    """RFC 9457. The client keeps members beyond these in `ProblemError.members`."""

    type: str
    title: str = ""
    status: int = 0
    detail: str = ""
    error_source: str = "request"
    run_id: str | None = None
    step_id: str | None = None
    attempts: int | None = None
    cause: Cause | None = None
    last_attempt: LastAttempt | None = None


class ProblemType(Struct, frozen=True):
    """A problem type: its status, its title, who is at fault, and its page's text."""

    status: int
    title: str
    source: str
    page: str


def _type(status: int, title: str, page: str, source: str = "request") -> ProblemType:
    return ProblemType(status, title, source, page)


PROBLEMS: dict[Problem, ProblemType] = {
    Problem.INVALID_SUBMISSION: _type(
        400,
        "The submission is not valid",
        "The posted body does not follow the contract. `member` names the part at fault, `detail`"
        " says what was expected. Nothing was recorded and nothing was called. Mend the request;"
        " posting it again unchanged gives the same answer.",
    ),
    Problem.INVALID_REQUEST: _type(
        400,
        "The request is not valid",
        "A parameter, header or body of this call is not what the interface describes. `detail`"
        " names it. Nothing was changed.",
    ),
    Problem.TOO_LARGE: _type(
        413,
        "The body is too large",
        "The body is over the limit that `limit` names. Nothing was recorded. Keep large data"
        " elsewhere and submit a reference to it, or raise the limit in the configuration.",
    ),
    Problem.UNSUPPORTED_MEDIA_TYPE: _type(
        415,
        "The body must be application/json",
        "Calls that change something need `Content-Type: application/json`, and their body as it"
        " is, without `Content-Encoding`. This also keeps web pages from posting to the engine"
        " behind their reader's back.",
    ),
    Problem.HEADERS_TOO_LARGE: _type(
        431, "The request's headers are too large", "Send fewer or shorter headers."
    ),
    Problem.UNAUTHORIZED: _type(
        401,
        "A token is needed",
        "Once it has a client or a token, the engine asks every request for one: send"
        " `Authorization: Bearer …`. The command and the clients take it from the file that"
        " ATOMIC_TOKEN_FILE names. `atomic token add` makes one, `atomic token rotate` gives one"
        " another secret; a token that was never, has run out or was taken away is answered alike."
        " Nothing was recorded.",
    ),
    Problem.FORBIDDEN: _type(
        403,
        "Not allowed",
        "The request comes from a foreign `Origin`, or its token does not cover it: `detail` says"
        " which role is needed and which the token has, or which client it is bound to. A post to"
        " a client that is not known (any more), or is disabled, is answered so too. Nothing was"
        " recorded.",
    ),
    Problem.TARGET_NOT_ALLOWED: _type(
        403,
        "The client may not have this URL called",
        "`url` is under none of the targets of `client`, or its host is an address that is never"
        " called. Nothing was recorded. `target` is what would have to be added to the client's"
        " `targets`, by who runs the engine; steps that are recorded already are found and answered"
        " whatever the list says. Posting again gives the same answer until the list is another.",
    ),
    Problem.NOT_FOUND: _type(
        404, "There is no such thing", "The engine knows no run, step, body or page of this name."
    ),
    Problem.METHOD_NOT_ALLOWED: _type(
        405, "The method is not allowed here", "`Allow` lists the methods of this address."
    ),
    Problem.WRONG_HOST: _type(
        421,
        "The Host header names another host",
        "The engine answers only under names it was configured for (`hosts`), so that a web page"
        " cannot reach it by pointing a name of its own at this address. Loopback names are"
        " always allowed.",
    ),
    Problem.RUN_ENDED: _type(
        409,
        "The run has ended",
        "A new step was posted for a run whose root has ended. Steps that were recorded before"
        " are still answered; new ones are not recorded. If it was the workflow itself under"
        " another URL: its outcome is found under the one that `recorded` names, and `retarget`"
        " moves the run.",
        "workflow",
    ),
    Problem.RUN_CANCELLED: _type(
        409,
        "The run was cancelled",
        "An operator cancelled the run or step. This is an outcome: it is final until an operator"
        " retries it.",
        "workflow",
    ),
    Problem.PARENT_ENDED: _type(
        409,
        "The step above has ended",
        "A step takes new children only while it is open itself. Post children before answering.",
        "workflow",
    ),
    Problem.STALE_EXECUTION: _type(
        409,
        "The post comes from an earlier execution",
        "The parent token is of an attempt that is no longer in flight: the function of a timed-out"
        " or interrupted attempt is still alive. Recorded steps are answered; new ones are not"
        " taken. Let that execution end.",
        "workflow",
    ),
    Problem.WOULD_DEADLOCK: _type(
        409,
        "The step would wait for itself",
        "A step posted itself or a step above it. Give the post another URL, `idempotencyKey` or"
        " `stepKey`.",
        "workflow",
    ),
    Problem.REVISION_CHANGED: _type(
        409,
        "It has changed meanwhile",
        "The revision given in `ifRev` is not the current one: the answer carries the row as it is"
        " now. Or more runs match the filter of a bulk job than `expect` says: `matched` is how"
        " many. Look at it and decide again.",
    ),
    Problem.NOT_POSSIBLE: _type(
        409,
        "Not possible in this state",
        "The action does not fit the state of the run, step or bulk job; `detail` says which state"
        " it is in.",
    ),
    Problem.OUTCOME_EXPIRED: _type(
        410,
        "The outcome was removed",
        "The run ended longer ago than runs are kept (`retention_days`), and was removed. Its key"
        " stays, so the work is not done a second time: `runStatus` says how it ended,"
        " `submittedAt` and `finishedAt` when, and `removedAt` since when it has gone (not told of"
        " what an older version removed). Nothing was recorded; posting again gives the same"
        " answer. Use a new key for new work.",
    ),
    Problem.KEY_REUSED: _type(
        422,
        "The idempotency key was used with another payload",
        "One key names one piece of work. `recordedFingerprint` and `postedFingerprint` tell"
        " the two payloads apart, and nothing else of them. Use a new key for new work.",
    ),
    Problem.TARGET_MOVED: _type(
        422,
        "The workflow is recorded under another URL",
        "A run with this key has its workflow at `recorded`, and `posted` was posted without a"
        " parent token, at a time when no function of the run can be at work that would post a"
        " step; or it is the same path on another host; or new steps need a parent token here"
        " (`steps_need_parent`). Were it taken for a step, a workflow that has moved would run as"
        " its own, a second time under another key. Nothing was recorded. Post the recorded"
        " URL. If the workflow has moved, `retarget` the run. If it is a step: send the parent"
        " token (`Atomic-Parent`), or post again when the workflow has been called again: the step"
        " waits for nothing else.",
    ),
    Problem.LIMIT_EXCEEDED: _type(
        422, "A limit of the run is reached", "`limit` names it: steps of a run, or nesting."
    ),
    Problem.STEP_FAILED: _type(
        424,
        "The step failed",
        "The recorded failure of the step: its retries are used up, its endpoint asked for no"
        " more, or another attempt could not have mended it. `cause` names the step that made it"
        " fail, `lastAttempt` how its last attempt ended. Posting again gives the same answer; an"
        " operator's `retry` begins a new generation. A function that lets it end the workflow"
        " answers 424 itself.",
        "workflow",
    ),
    Problem.RATE_LIMITED: _type(
        429,
        "The client is at one of its limits",
        "Nothing was recorded. Post again with the same key, or ask again, after `Retry-After`."
        " `limit` names the client's limit; posts for runs that there are already are not refused"
        " by it.",
    ),
    Problem.TOO_MANY_RUNS: _type(
        429,
        "The client has too many open runs",
        "Nothing was recorded. Post again with the same key after `Retry-After`, when some runs"
        " have ended. `limit` names the client's limit; posts for runs that there are already are"
        " not refused by it.",
    ),
    Problem.INTERNAL: _type(
        500,
        "The engine has a bug",
        "Something happened that should not. Nothing is known of the step: post again. The log"
        " carries the traceback under the id in `incident`.",
        "engine",
    ),
    Problem.OVERLOADED: _type(
        503,
        "The engine has too much to do",
        "Nothing was recorded. Post again with the same key after `Retry-After`. `limit` names the"
        " setting: `new_runs_wait_ms_max` (new runs would wait too long for their turn),"
        " `runs_in_memory_max`, `connections_max`, `memory_bytes_max` (no room for the body),"
        " `memory_share` (none in its client's share), or `backlog_events_max` (the disk does not"
        " keep up).",
        "engine",
    ),
    Problem.DRAINING: _type(
        503,
        "The engine is stopping",
        "Post again with the same key after `Retry-After`; what was recorded goes on when the"
        " engine is back.",
        "engine",
    ),
    Problem.STORE_UNAVAILABLE: _type(
        503,
        "The store is not available",
        "Another program holds the database's write lock, its disk is full, or it can only be"
        " read, or it is damaged or cannot be read where this is kept, or it is as large as it may"
        " be (`limit` is `store_bytes_max`: only posts that open runs); `detail` says which."
        " Nothing was recorded, unless `detail` says that this will show. Recorded outcomes are"
        " answered meanwhile, attempts in flight end and are recorded"
        " later, and the engine goes on by itself. Post again with the same key after"
        " `Retry-After`.",
        "engine",
    ),
    Problem.ENGINE_ERROR: _type(
        503,
        "The engine cannot go on with the run",
        "The run is paused, reason `engine-error`; `error` says what was wrong (a bug, or that what"
        " an attempt is to send lies on a damaged page of the database), and the log has the"
        " traceback."
        " Nothing was recorded by this post, and nothing that was recorded is lost. An"
        " operator lets it be read again with `retry` or `resume` (after an update, perhaps), or"
        " ends it as it is with `cancel`. Post again with the same key after `Retry-After`."
        " A run that has ended and cannot be read is not paused, and stays as it is recorded: the"
        " text says so, and how it ended.",
        "engine",
    ),
    Problem.WAIT_TIMEOUT: _type(
        504,
        "The wait is over, the work goes on",
        "`timeout` has passed. This says nothing about the step: post again with the same key, or"
        " read `Location`.",
        "engine",
    ),
    Problem.SUSPENDED: _type(
        504,
        "The function is sent home",
        "The function that waits for this step was let go, because the step cannot move soon or"
        " because the workers of its host all wait for each other. It says nothing about the step:"
        " do not post again from this call and compensate on nothing, let the function fail. What"
        " it answers counts for nothing. It is called again when one of its steps has ended, and"
        " costs no retry.",
        "engine",
    ),
}


def problem(kind: Problem, detail: str, **members: Any) -> bytes:
    """An RFC 9457 document. Members that are None are left out."""
    it = PROBLEMS[kind]
    document = {
        "type": f"/problems/{kind}",
        "title": it.title,
        "status": it.status,
        "detail": detail,
        "errorSource": it.source,
    }
    document.update({name: value for name, value in members.items() if value is not None})
    return msgspec.json.encode(document)
