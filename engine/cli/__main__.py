"""`python -m engine.cli`: the command `atomic`, where no script was installed."""

from engine.cli.main import main

main(prog_name="atomic")
