"""`atomic restore`: a file out of a copy, in which everything is held until a person has looked.

Until this version the command of this name put a dismissed run back on the list of failures, as
`undismiss` does now. What is typed so is still understood.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from engine.cli.act import undismiss
from engine.cli.options import actor_option
from engine.cli.show.text import ProgressLine, safe
from engine.cli.upkeep.verify import report_lines
from engine.process.exits import EXIT_DAMAGED


class _Restore(click.Command):
    """Or `undismiss`, where no file is meant."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Of a run that is named without `--to` it is the command that it was."""
        meant = {"--to", "--help", "-h"} & {each.partition("=")[0] for each in args}
        if meant or not args or any(Path(each).exists() for each in args):
            return super().make_context(info_name, args, parent, **extra)
        click.echo("note: this is `atomic undismiss` now; `restore` is for files.", err=True)
        return undismiss.make_context(info_name, args, parent, **extra)


@click.command(cls=_Restore)
@click.argument("backup", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(path_type=Path),
    help="The file to make; nothing may be there.",
)
@actor_option
@click.pass_context
def restore(ctx: click.Context, backup: Path, target: Path, actor: str) -> None:
    """Make the file of an engine out of a copy, which is checked first; the copy stays as it is.

    Everything is on hold in it: an engine that starts on it calls nothing until somebody has looked
    and says so (`atomic release --all`).
    """
    from engine import offline

    with ProgressLine() as progress:
        report, restored = offline.restore_file(backup, target.absolute(), actor, progress.show)
    if restored is None:
        click.echo("\n".join(report_lines(report)), err=True)
        click.echo(f"atomic: {safe(backup)} is not whole, and nothing was restored.", err=True)
        ctx.exit(EXIT_DAMAGED)
    click.echo(
        f"{safe(target)}: {restored.size:,} bytes, file {safe(restored.file_id)}, as it was at"
        f" {safe(restored.state_at)}.\n"
        "Everything is held in it. Start the engine on it, look at what it would do (atomic runs,"
        " atomic tui),\nthen let it go on: atomic release --all"
    )
