"""Files that change while the engine runs: when it is taken, and what is said."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from engine.core.access.client import Client
from engine.core.access.token import Role
from engine.process.toml import ConfigError
from engine.registry.files import Defined, Sources
from engine.registry.registry import BadFile, Registry
from engine.registry.watch import LOOK_EVERY_S, Files
from tests.registry.files import in_directory, in_settings, secret, tokens_of, write
from tests.store.support import store_at

WITHIN_S = 10.0
"""What the page promises."""


async def inline(look: Callable[[], Defined | None]) -> Defined | None:
    await trio.lowlevel.checkpoint()
    return look()


class Watched:
    """An engine's registry, its files, and what the log says of them."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.said: list[tuple[str, dict[str, Any]]] = []

    def log(self, event: str, **values: Any) -> None:
        self.said.append((event, values))

    def events(self) -> list[str]:
        """What was said since the last time that it was asked."""
        events = [event for event, _ in self.said]
        self.said.clear()
        return events

    def bad(self) -> list[BadFile]:
        return list(self.registry.bad_files)

    def targets(self) -> dict[str, tuple[str, ...]]:
        return {name: client.targets for name, client in self.registry.clients.items()}


@asynccontextmanager
async def watched(path: Path, sources: Sources) -> AsyncIterator[Watched]:
    """The files given to a registry, and watched from second 0 of Trio's clock on."""
    async with store_at(path) as store, trio.open_nursery() as nursery:
        files = Files(sources, inline)
        it = Watched(Registry(store, lambda: 1_000))
        files.give_to(it.registry)
        nursery.start_soon(files.watch, it.registry, lambda: 2_000, it.log, it.log)
        yield it
        nursery.cancel_scope.cancel()


async def test_a_change_is_taken_within_ten_seconds(
    autojump_clock: MockClock, path: Path, tmp_path: Path
) -> None:
    """Whenever it comes between two looks: what was there before is gone, and what is new there."""
    sources = in_directory(tmp_path, shop='targets = ["http://a/"]')
    async with watched(path, sources) as it:
        await trio.sleep(LOOK_EVERY_S + 0.1)  # as long before the next look as can be
        in_directory(tmp_path, shop='targets = ["http://b/"]')
        version = it.registry.version
        await trio.sleep(WITHIN_S)
        assert it.targets() == {"shop": ("http://b/",)}
        assert it.registry.version == version + 1
        assert it.said == [
            (
                "files-read",
                {
                    "changed": [f"{tmp_path}/clients/shop.toml"],
                    "files": [f"{tmp_path}/clients/shop.toml"],
                    "clients": 1,
                    "tokens": 0,
                },
            )
        ]
        it.events()
        await trio.sleep(60)
        assert (it.events(), it.registry.version) == ([], version + 1), "nothing more has changed"


async def test_tokens_rotate(autojump_clock: MockClock, path: Path, tmp_path: Path) -> None:
    """The new one comes beside the old, and then the old one goes; the file's time and size may be
    the same."""
    sources = tokens_of(tmp_path, secret(1))
    token_file = tmp_path / "admin.token"
    times = (1_000_000_000, 1_000_000_000)
    async with watched(path, sources) as it:
        for lines in ([secret(1), secret(2)], [secret(2)], [secret(3)]):
            token_file.write_text("\n".join(lines))
            os.utime(token_file, ns=times)
            await trio.sleep(WITHIN_S)
            valid = {number for number in (1, 2, 3) if it.registry.token_of(secret(number))}
            assert valid == {number for number in (1, 2, 3) if secret(number) in lines}
        assert it.registry.tokens[next(iter(it.registry.tokens))].role is Role.ADMIN
        assert secret(3) not in repr(it.said)


async def test_kubernetes_swaps_a_link(
    autojump_clock: MockClock, path: Path, tmp_path: Path
) -> None:
    """A mounted Secret or ConfigMap: files are links through `..data`, which is swapped as one."""
    mount = tmp_path / "mount"
    for day in ("..1", "..2"):
        write(mount / day / "shop.toml", f'targets = ["http://day{day[2:]}/"]')
    (mount / "..data").symlink_to("..1")
    (mount / "shop.toml").symlink_to("..data/shop.toml")
    async with watched(path, Sources(clients_dir=mount)) as it:
        assert it.targets() == {"shop": ("http://day1/",)}
        (mount / "..new").symlink_to("..2")
        (mount / "..new").rename(mount / "..data")
        await trio.sleep(WITHIN_S)
        assert it.targets() == {"shop": ("http://day2/",)}


async def test_what_is_half_written_is_left_alone(
    autojump_clock: MockClock, path: Path, tmp_path: Path
) -> None:
    """Neither a file that an editor renamed away a moment ago nor half of a list is taken, and
    nothing is said of it."""
    lines = [secret(number) for number in range(3)]
    sources = tokens_of(tmp_path, *lines)
    token_file = tmp_path / "admin.token"
    async with watched(path, sources) as it:
        await trio.sleep(LOOK_EVERY_S / 2)
        token_file.rename(tmp_path / "admin.token~")
        await trio.sleep(LOOK_EVERY_S)
        write(token_file, lines[0])
        await trio.sleep(LOOK_EVERY_S)
        assert len(it.registry.tokens) == 3
        write(token_file, "\n".join(lines[1:]))
        await trio.sleep(WITHIN_S)
        assert len(it.registry.tokens) == 2
        assert it.events() == ["files-read"]


async def test_a_bad_file_is_told_once_and_what_was_good_holds(
    autojump_clock: MockClock, path: Path, tmp_path: Path
) -> None:
    """Where, which line, what to do, since when; again at the next change that leaves it bad; and
    when it is mended. Another client's change is taken meanwhile."""
    sources = in_directory(tmp_path, bank="", shop='targets = ["http://a/"]')
    place = f"{tmp_path}/clients/shop.toml"
    async with watched(path, sources) as it:
        in_directory(tmp_path, shop='targets = ["http://b/"]\nprivat_targets = true')
        await trio.sleep(WITHIN_S * 5)
        why = f"{place}: line 2: `privat_targets`: unknown member; did you mean `private_targets`?"
        told = {"file": place, "why": why, "hint": "what it said before holds"}
        assert it.said == [("bad-file", told)]
        assert it.bad() == [BadFile(place, why, 2_000)]
        assert it.targets() == {"bank": (), "shop": ("http://a/",)}
        it.events()
        in_directory(tmp_path, bank='targets = ["http://c/"]')
        await trio.sleep(WITHIN_S)
        assert it.events() == ["bad-file", "files-read"]
        assert it.targets() == {"bank": ("http://c/",), "shop": ("http://a/",)}
        in_directory(tmp_path, shop='targets = ["http://b/"]')
        await trio.sleep(WITHIN_S)
        assert it.events() == ["file-mended", "files-read"]
        assert it.bad() == []
        assert it.targets()["shop"] == ("http://b/",)


async def test_rights_that_others_get_are_a_change(
    autojump_clock: MockClock, path: Path, tmp_path: Path
) -> None:
    """A file of tokens that others may read is told, and its tokens stay valid: to take them from
    everybody at once would be worse."""
    async with watched(path, tokens_of(tmp_path, secret(1))) as it:
        (tmp_path / "admin.token").chmod(0o644)
        await trio.sleep(WITHIN_S)
        assert it.events() == ["bad-file"]
        assert it.registry.token_of(secret(1)) is not None


async def test_clients_come_and_go_with_their_files(
    autojump_clock: MockClock, path: Path, tmp_path: Path
) -> None:
    """A client whose file is gone is gone; with the last of them nothing is opened to everybody."""
    sources = in_directory(tmp_path)
    async with watched(path, sources) as it:
        asked = [it.registry.asks_token]
        in_directory(tmp_path, shop="")
        await trio.sleep(WITHIN_S)
        asked.append(it.registry.asks_token)
        (tmp_path / "clients/shop.toml").unlink()
        await trio.sleep(WITHIN_S)
        asked.append(it.registry.asks_token)
        assert (it.targets(), asked) == ({}, [False, True, True])


async def test_settings_beside_the_clients_take_a_restart(
    autojump_clock: MockClock, path: Path, tmp_path: Path
) -> None:
    """Their change is told, and so is a slip that would stop the next start."""
    sources = in_settings(tmp_path, "port = 1\n[clients.shop]")
    async with watched(path, sources) as it:
        in_settings(tmp_path, "port = 2\ndepth_max = 3\n[clients.shop]\n[clients.bank]")
        await trio.sleep(WITHIN_S)
        assert set(it.targets()) == {"shop", "bank"}
        told = {"settings": ["port", "depth_max"], "hint": "they are taken at the next start"}
        assert it.said[1:] == [("settings-changed", told)]
        in_settings(tmp_path, "prot = 2\n[clients.shop]\n[clients.bank]")
        await trio.sleep(WITHIN_S)
        assert "`prot`: unknown setting; did you mean `port`?" in it.registry.bad_files[0].why


async def test_who_has_no_file_watches_none(
    autojump_clock: MockClock, path: Path, tmp_path: Path
) -> None:
    """Nothing is looked at."""
    async with store_at(path) as store:
        looks: list[object] = []

        async def look(work: Callable[[], Defined | None]) -> Defined | None:
            looks.append(work)
            return None

        registry = Registry(store, lambda: 0)
        with trio.move_on_after(WITHIN_S):
            await Files(Sources(), look).watch(registry, lambda: 0, print, print)
        with trio.move_on_after(WITHIN_S):
            await Files(in_settings(tmp_path, ""), look).watch(registry, lambda: 0, print, print)
        assert len(looks) == WITHIN_S // LOOK_EVERY_S


def test_the_first_bad_file_stops_the_start(tmp_path: Path) -> None:
    """Nothing was there before that could hold."""
    with pytest.raises(ConfigError, match=r"bank\.toml: line 1: `x`: unknown member"):
        Files(in_directory(tmp_path, bank="x = 1", shop="y = 1"))


async def test_a_client_that_a_command_had_added_is_told_once(
    autojump_clock: MockClock, path: Path, tmp_path: Path
) -> None:
    """When its file comes, with the file that holds and how to forget the other; and again only
    when it has been one alone meanwhile."""
    sources = in_directory(tmp_path, shop='targets = ["http://shop/"]')
    async with watched(path, sources) as it:
        await trio.sleep(WITHIN_S)
        assert it.events() == []
        await it.registry.put_client(Client("cafe", ("http://cafe/",)), "ada")
        in_directory(tmp_path, cafe='targets = ["http://other/"]')
        await trio.sleep(3 * WITHIN_S)
        ((_, told),) = [each for each in it.said if each[0] == "client-defined-twice"]
        assert (told["client"], told["file"]) == ("cafe", str(tmp_path / "clients/cafe.toml"))
        assert "atomic client rm cafe" in told["hint"]
        it.events()
        (tmp_path / "clients/cafe.toml").unlink()
        await trio.sleep(WITHIN_S)
        assert it.targets()["cafe"] == ("http://cafe/",), "as it was before the file"
        in_directory(tmp_path, cafe='targets = ["http://other/"]')
        await trio.sleep(WITHIN_S)
        assert it.events().count("client-defined-twice") == 1


async def test_a_name_that_the_engine_will_need_is_told_once(
    autojump_clock: MockClock, path: Path, tmp_path: Path
) -> None:
    """Its definition is taken, or its open runs could not go on; who reads the log renames it."""
    sources = in_directory(tmp_path, peer='targets = ["http://peer/"]', shop="")
    async with watched(path, sources) as it:
        await it.registry.put_client(Client("ui", ("http://ui/",)), "ada")
        await trio.sleep(2 * WITHIN_S)
        assert it.targets()["peer"] == ("http://peer/",)
        told = [values for event, values in it.said if event == "client-name-reserved"]
        file = str(tmp_path / "clients/peer.toml")
        assert [(each["client"], each["file"]) for each in told] == [("peer", file), ("ui", None)]
        assert "post under another name" in told[0]["hint"]


async def test_a_key_that_has_changed_is_named(
    autojump_clock: MockClock, path: Path, tmp_path: Path
) -> None:
    """Beside the definition that it belongs to, which is as it was."""
    write(tmp_path / "keys/shop.token", secret(1))
    sources = in_directory(tmp_path, shop='token_file = "../keys/shop.token"')
    async with watched(path, sources) as it:
        write(tmp_path / "keys/shop.token", f"{secret(2)}\n{secret(1)}")
        await trio.sleep(WITHIN_S)
        ((event, told),) = it.said
        assert (event, told["changed"]) == ("files-read", [f"{tmp_path}/clients/shop.toml"])
        assert told["files"] == [f"{tmp_path}/keys/shop.token"]
