"""`atomic set-result` and `skip`: what is said before and after."""

from __future__ import annotations

import pytest

from tests.cli.tree import DONE, TREE
from tests.client.fake_engine import RUN, STEP, Atomic, answer


@pytest.mark.parametrize("action", ["set-result", "skip"])
def test_what_a_completed_run_is_told_stays(atomic: Atomic, action: str):
    """A step's result is another: the run's own outcome is not, and it says so."""
    step = STEP | {"id": "01B", "status": "completed"}
    done = DONE | {"action": action, "run": RUN | {"status": "completed"}, "step": step}
    stays = "The run stays completed, with the outcome that it had"
    options = ("--result", "1") if action == "set-result" else ()
    arguments = (action, "01A", "--step", "01B", "--reason", "so", *options)
    told = atomic(*arguments, answers=[answer(TREE), answer(done, 202)])
    assert (told.exit_code, stays in told.stdout) == (0, True)
    own = done | {"step": step | {"id": "01A"}}
    assert stays not in atomic(*arguments, answers=[answer(TREE), answer(own, 202)]).stdout


def test_a_result_that_is_none_names_its_option(atomic: Atomic) -> None:
    """No JSON, no such file, no text: `--result` is what was typed."""
    line = ("set-result", "01A", "--step", "index", "--reason", "so", "--result")
    for wrong in (("{",), ("@/no/such/file",)):
        result = atomic(*line, *wrong)
        assert (result.exit_code, "Invalid value for '--result': " in result.stderr) == (2, True)
