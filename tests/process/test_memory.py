"""How much memory there is: the machine's, or what a control group leaves of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from engine import main
from engine.process.budget import Budget
from engine.process.memory import UNKNOWN_BYTES, default_budget, memory_bytes, trim

MIB = 1 << 20


def machine(root: Path, files: dict[str, str]) -> Path:
    """A machine of 8 GiB with these files."""
    for name, text in {"proc/meminfo": "MemTotal: 8388608 kB\nMemFree: 1 kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "mib"),
    [
        ({}, 8192),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{512 * MIB}\n"}, 512),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 8192),
        (
            {
                "proc/self/cgroup": "0::/a.slice/b.service\n",
                "sys/fs/cgroup/a.slice/memory.max": f"{256 * MIB}\n",
                "sys/fs/cgroup/a.slice/b.service/memory.max": "max\n",
            },
            256,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu,memory:/docker/1f\n1:name=systemd:/docker/1f\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{300 * MIB}\n",
            },
            300,
        ),
        (
            {
                "proc/self/cgroup": "5:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            8192,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/kubepods/pod1/c1\n0::/kubepods/pod1/c1\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/kubepods/pod1/memory.limit_in_bytes": f"{200 * MIB}\n",
                "sys/fs/cgroup/memory/kubepods/pod1/c1/memory.limit_in_bytes": f"{400 * MIB}\n",
            },
            200,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/\n0::/a\n",
                "sys/fs/cgroup/unified/a/memory.max": f"{100 * MIB}\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{400 * MIB}\n",
            },
            100,
        ),
        (
            {
                "proc/self/cgroup": "0::/../../outside\n",
                "sys/fs/cgroup/memory.max": f"{150 * MIB}\n",
            },
            150,
        ),
        (
            {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{8193 * MIB}\n"},
            8192,
        ),
        ({"proc/self/cgroup": "nonsense\n0::/\n", "sys/fs/cgroup/memory.max": "\n"}, 8192),
    ],
    ids=[
        "none",
        "v2",
        "v2 without limit",
        "above",
        "v1 in a container",
        "v1 without",
        "v1 above",
        "hybrid",
        "of another namespace",
        "more than there is",
        "odd",
    ],
)
def test_the_lowest_limit_holds(tmp_path: Path, files: dict[str, str], mib: int) -> None:
    """A container's engine knows its own limit, not the machine's memory."""
    root = machine(tmp_path, files)
    assert memory_bytes(root) == mib * MIB
    assert default_budget(root) == mib * MIB // 4


def test_a_system_that_does_not_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `/proc` the system's own call is asked; without an answer a GiB is taken."""
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PAGE_SIZE": 4096}.get(name, 1000))
    assert memory_bytes(tmp_path) == 4_096_000
    monkeypatch.setattr("os.sysconf", lambda name: 0)
    assert memory_bytes(tmp_path) == UNKNOWN_BYTES


async def test_memory_goes_back_after_a_burst(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When many bytes have come and gone the allocator is asked for what it keeps, once, and not
    for a few."""
    trimmed: list[bool] = []
    monkeypatch.setattr(main, "trim", lambda: trimmed.append(True))
    budget = Budget(1 << 40)
    with trio.move_on_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(main._trim_memory, budget)
            for size in (main.TRIM_BYTES_MIN // 2, main.TRIM_BYTES_MIN):
                await trio.sleep(main.TRIM_EVERY_S * 2 + 1)
                charge = budget.posts.take("c", size)
                assert charge is not None
                charge.give_back()
    assert len(trimmed) == 1
    trim()  # the system's own takes it well
