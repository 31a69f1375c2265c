"""The command `atomic`: a table of its commands. Each is imported when it is asked for.

So `atomic --help` comes at once, and the engine knows its dashboard by a string alone.
"""

from __future__ import annotations

import importlib

import click

from engine import __version__
from engine.cli.exits import EPILOG, AtomicGroup

COMMANDS = {
    "serve": ("engine.cli.serve:serve", "Start an engine; Ctrl-C or SIGTERM stop it gracefully."),
    "setup": (
        "engine.cli.access.setup:setup",
        "Write the settings and tokens of an engine and a client.",
    ),
    "demo": (
        "engine.cli.demo.command:demo",
        "Show workflows that meet failures, on an engine of its own.",
    ),
    "version": ("engine.cli.serve:version", "Print the version of this command."),
    "submit": ("engine.cli.submit:submit", "Submit a run and print what it answered."),
    "outcome": ("engine.cli.submit:outcome", "Wait for the outcome of a run or step."),
    "status": ("engine.cli.look:status", "Show how the engine is: runs by state, what is late."),
    "health": ("engine.cli.serve:health", "Say whether the engine takes posts, by exit code."),
    "whoami": ("engine.cli.look:whoami", "Say as whom the engine knows you."),
    "runs": ("engine.cli.runs:runs", "List runs, newest first, by filter."),
    "causes": ("engine.cli.look:causes", "List why runs need a person, by cause."),
    "show": ("engine.cli.look:show", "Draw a run as a tree: states, tries, the next try."),
    "events": ("engine.cli.events:events", "Print what happens, as it happens, until Ctrl-C."),
    "body": ("engine.cli.body:body", "Print a step's last answer, or its payload."),
    "ui": ("engine.cli.look:ui", "Print the link to the engine's pages, and open it."),
    "tui": ("tui.command:tui", "The dashboard: live, with keys that act."),
    "retry": ("engine.cli.act:retry", "Try now what backs off; open an ended run again."),
    "pause": ("engine.cli.act:pause", "Start no new attempt; attempts in flight end."),
    "resume": ("engine.cli.act:resume", "Let what is paused go on."),
    "cancel": ("engine.cli.act:cancel", "End it with the outcome `cancelled`."),
    "rerun": (
        "engine.cli.act:rerun",
        "Run an ended step again, and what came after it; or a run with another payload.",
    ),
    "set-result": (
        "engine.cli.act:set_result",
        "Say what came of a step, in the place of its endpoint.",
    ),
    "skip": ("engine.cli.act:skip", "Do without a step: it ends with no answer."),
    "dismiss": ("engine.cli.act:dismiss", "Take a run off the list of failures."),
    "undismiss": ("engine.cli.act:undismiss", "Put a dismissed run back on that list."),
    "note": ("engine.cli.act:note", "Write a note of a run."),
    "retarget": ("engine.cli.act:retarget", "Move a run to other URLs."),
    "client": ("engine.cli.access.clients:client", "Add, disable, enable, remove, list clients."),
    "token": ("engine.cli.access.tokens:token", "Add, rotate, remove, list access tokens."),
    "audit": (
        "engine.cli.access.audit:audit",
        "What people did, and which tokens were refused.",
    ),
    "limits": (
        "engine.cli.access.limits:limits",
        "What clients and hosts may take; set, reset.",
    ),
    "alerts": (
        "engine.cli.upkeep.alerts:alerts",
        "What somebody is told of, and whether it comes.",
    ),
    "prune": ("engine.cli.access.prune:prune", "Remove runs that ended too long ago."),
    "hold": ("engine.cli.act:hold", "Start nothing of a client, of a workflow or to a host."),
    "release": ("engine.cli.act:release", "Let what was held start again."),
    "holds": ("engine.cli.look:holds", "List what is held, and why."),
    "backup": (
        "engine.cli.upkeep.backup:backup",
        "Copy an engine's file while it runs, checked.",
    ),
    "restore": (
        "engine.cli.upkeep.restore:restore",
        "Make a file of a copy; everything is held in it.",
    ),
    "doctor": (
        "engine.cli.upkeep.doctor:doctor",
        "Look whether an engine, its file and its machine are well.",
    ),
    "verify": (
        "engine.cli.upkeep.verify:verify",
        "Check a file that no engine has open, from end to end.",
    ),
    "compact": (
        "engine.cli.upkeep.compact:compact",
        "Make a file smaller that no engine has open.",
    ),
    "bulk": ("engine.cli.bulk:bulk", "Act on every run that a filter finds."),
}
"""Name → where it is, and the line that `atomic --help` has of it."""


def command_of(name: str) -> click.Command:
    """The command of this name in the table, imported now."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command


class Commands(AtomicGroup):
    """The group of the table. Way: click, "Lazily Loading Subcommands"."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the alphabet."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, if there is one."""
        return command_of(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of `--help`, which imports none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(
    cls=Commands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="atomic")
def main() -> None:
    """Durable workflows over plain HTTP."""
