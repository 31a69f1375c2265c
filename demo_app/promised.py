"""Promised effects against counted ones: what `atomic demo` prints at its end.

A completed workflow promises each of its effects exactly once. Too few are lost, too many doubled.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from demo_app import newsletter, orders, partner, users
from demo_app.scenario import Submission

# Steps without an effect of their own: they only post other steps.
WITHOUT_EFFECT = ("index", "ship")


@dataclass(frozen=True)
class Row:
    """One effect of one run: how often promised and how often counted."""

    workflow: str
    key: str
    effect: str
    promised: int
    counted: int

    @property
    def lost(self) -> int:
        """Promised and never done."""
        return max(0, self.promised - self.counted)

    @property
    def doubled(self) -> int:
        """Done more often than promised."""
        return max(0, self.counted - self.promised)


def promised(submission: Submission) -> dict[str, int]:
    """The effects of the submission when its workflow has completed as expected."""
    match submission.workflow:
        case users.WORKFLOW:
            names = ["createUser", "sendEmail", "sendAnalytics"]
        case orders.WORKFLOW if submission.expect == "declined":
            names = ["reserveStock", "releaseStock"]
        case orders.WORKFLOW:
            parcels = range(1, submission.payload["parcels"] + 1)
            names = ["reserveStock", "chargeCard"]
            names += [f"{step}/{n}" for n in parcels for step in ("bookCarrier", "printLabel")]
            names += ["confirmOrder"]
        case partner.WORKFLOW:
            names = ["registerPartner", "reviewContract", "provisionAccess", "welcomePartner"]
        case newsletter.WORKFLOW:
            names = [f"sendIssue/{n}" for n in range(1, submission.payload["readers"] + 1)]
        case _:
            raise ValueError(f"no workflow {submission.workflow!r} in this application")
    return dict.fromkeys(names, 1)


def counted(
    effects: Mapping[str, Any], key: str, mails: Mapping[str, int] | None = None
) -> dict[str, int]:
    """The effects really done for the run with this key, from the JSON of `GET /effects`.

    With `mails` (Message-ID to count, `demo_app.smtp.count_by_message_id`) a mail counts as often
    as the mail server has it: that alone sees a mail sent just before a crash.
    """
    found: dict[str, int] = {}
    for row in effects["effects"]:
        name = row["step"]
        if row["key"] != key or name.partition("/")[0] in WITHOUT_EFFECT:
            continue
        number = row["effects"]
        response = row["response"]
        if mails is not None and isinstance(response, dict) and "messageId" in response:
            number = mails.get(response["messageId"], 0)
        found[name] = found.get(name, 0) + number
    return found


def compare(
    submissions: Iterable[Submission],
    effects: Mapping[str, Any],
    mails: Mapping[str, int] | None = None,
) -> list[Row]:
    """A row for every effect promised or counted of completed submissions, in their order."""
    rows = []
    for submission in submissions:
        want = promised(submission)
        have = counted(effects, submission.key, mails)
        rows += [
            Row(submission.workflow, submission.key, name, want.get(name, 0), have.get(name, 0))
            for name in want | {name: 0 for name, number in have.items() if number}
        ]
    return rows
