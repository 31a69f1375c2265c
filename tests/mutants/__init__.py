"""Planted bugs, each of which the evidence must find: `just mutants`.

A simulation that finds nothing proves nothing unless it can. So each promise has bugs that break
it, planted one at a time, and each must be found by the way of looking that is to find such bugs:
simulation, kills, or a property test, in its short form.

To add one: a function in a file of `planted/`, one file for each section of the engine, so that
those who work side by side do not meet. Files there are found by themselves.

    @plant("an answer 202 leaves before its commit", by=(SIMULATION, KILLS), rules=("R1",))
    def acknowledged_before_commit(bug: Planting) -> None:
        bug.rewrite(LiveRun.wait_durable, "await self.receipt.wait()", "pass")

The words say what is planted. `rules` are the rules of the simulation's checker that count as
found (a crash of the engine, rule `engine`, only where it is named: else a bug that no longer fits
the engine's code would look like one that was found). `test` names the test of a property.
`rewrite` changes one place of a function, wherever that function was imported to, and complains
when the place is not there any more; `replace` sets an attribute.
"""
