"""What files define, and what a slip in one is told."""

from __future__ import annotations

import base64
import errno
import os
from pathlib import Path

import pytest
import trustme

from engine.core.access.client import Client, ClientLimits
from engine.core.access.token import Role, Token
from engine.process.config import Config, load
from engine.process.toml import ConfigError
from engine.registry import look
from engine.registry.files import NOTHING, Defined, Sources, read_files, sources_of
from engine.registry.registry import digest_of
from engine.registry.watch import Files
from tests.registry.files import in_directory, in_settings, secret, tokens_of, write

KEY = base64.b64encode(bytes(range(32))).decode()
SHOP = """
targets = ["http://shop:9000", "https://API.example:443/hooks"]
private_targets = true
token_file = "shop.token"
signing_secret_file = "shop.whsec"
steps_need_parent = true

[limits]
new_runs_per_s = 20
open_runs_max = 1_000
in_flight_max = 1
memory_share = 0.01
waiting_callers_max = 100
"""


def why_not(sources: Sources) -> str:
    """What the start says of them."""
    with pytest.raises(ConfigError) as caught:
        Files(sources)
    return str(caught.value)


def held(sources: Sources, last: Defined = NOTHING) -> Defined:
    """What they define, when nothing of it is bad."""
    found = read_files(sources, last)
    assert found.bad == {}
    return found


def test_a_client_with_everything(tmp_path: Path) -> None:
    """Of a file of its own, every member comes through, and relative paths begin beside it."""
    sources = in_directory(tmp_path, shop=SHOP)
    tokens = write(tmp_path / "clients/shop.token", f"# old\n{secret(1)}\n\n  {secret(2)}\r\n")
    write(tmp_path / "clients/shop.whsec", f"whsec_{KEY}\n")
    found = held(sources)
    assert found.clients == [
        Client(
            "shop",
            ("http://shop:9000/", "https://api.example/hooks"),
            private_targets=True,
            steps_need_parent=True,
            signing_secrets=(bytes(range(32)),),
            limits=ClientLimits(20, 1_000, 1, 100, 0.01),
            defined_in=str(tmp_path / "clients/shop.toml"),
        )
    ]
    names = [f"shop.{digest_of(secret(number)).hex()[:8]}" for number in (1, 2)]
    assert found.tokens == [
        Token(name, digest_of(secret(number)), Role.SUBMIT, "shop", defined_in=str(tokens))
        for name, number in zip(names, (1, 2), strict=True)
    ]


def test_the_same_in_a_table_of_the_settings(tmp_path: Path) -> None:
    """Beside settings, several clients, one with a dot in its name; paths begin beside the file."""
    write(tmp_path / "secret/shop.token", secret(1))
    text = 'port = 1\n[clients.shop]\ntoken_file = "secret/shop.token"\n[clients."a.b"]\n'
    found = held(in_settings(tmp_path, text))
    assert [client.name for client in found.clients] == ["shop", "a.b"]
    assert found.clients[1] == Client("a.b", defined_in=str(tmp_path / "atomic.toml"))
    assert [token.client for token in found.tokens] == ["shop"]


def test_a_file_is_shown_by_its_shortest_path(tmp_path: Path) -> None:
    """`..` is taken out of what people read, of a client's file and of one that settings name; not
    behind a symlink, where it leads elsewhere."""
    keys = write(tmp_path / "keys" / "shop.token", secret(1))
    sources = in_directory(tmp_path, shop='token_file = "../keys/./shop.token"')
    assert [token.defined_in for token in held(sources).tokens] == [str(keys)]
    file = write(tmp_path / "etc" / "atomic.toml", 'admin_token_file = "../keys/shop.token"\n')
    assert load({}, {}, file).admin_token_file == str(keys)
    there = write(tmp_path / "there" / "keys" / "shop.token", secret(2))
    (tmp_path / "there" / "clients").mkdir()
    write(tmp_path / "there" / "clients" / "shop.toml", 'token_file = "../keys/shop.token"')
    (tmp_path / "link").symlink_to(tmp_path / "there" / "clients")
    (token,) = held(Sources(clients_dir=tmp_path / "link")).tokens
    assert token.digest == digest_of(secret(2)), "of the keys beside it, and not of ours"
    assert Path(token.defined_in).samefile(there)


def test_tokens_for_every_client(tmp_path: Path) -> None:
    """The settings name a file for each role beside `submit`; a byte order mark hurts nothing."""
    files = {role: write(tmp_path / role, "\ufeff" + secret(at)) for at, role in enumerate(Role)}
    config = Config(
        admin_token_file=str(files[Role.ADMIN]),
        operate_token_file=str(files[Role.OPERATE]),
        read_token_file=str(files[Role.READ]),
        clients_dir=str(in_directory(tmp_path).clients_dir),
    )
    found = held(sources_of(config, None))
    assert {token.role for token in found.tokens} == {Role.ADMIN, Role.OPERATE, Role.READ}
    assert all(token.client is None for token in found.tokens)
    assert sources_of(Config(), None) == Sources()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("target = []", "line 1: `target`: unknown member; did you mean `targets`?"),
        ('\ntoken = "hunter2"', "line 2: `token`: secrets stand in files of their own: write it"),
        ('signing_secret = "x"', "and name that one as `signing_secret_file`"),
        ("port = 1", "line 1: `port`: is a setting, and stands before the first table"),
        ("[clients.shop]", "a client's members stand at the top level"),
        ("zebra = 1", "unknown member; there are targets, private_targets, token_file,"),
        ("[limits]\nnew_run_per_s = 1", "line 2: `limits.new_run_per_s`: unknown member; did you"),
        ("[limits]\nnew_runs_per_s = 0", "`limits.new_runs_per_s`: 0: Expected `float` >= 0.01"),
        ("limits.new_runs_per_s = 1e7", "line 1: `limits.new_runs_per_s`: 10000000.0: Expected"),
        ("[limits]\nopen_runs_max = 0", "line 2: `limits.open_runs_max`: 0: Expected `int` >= 1"),
        (
            "[limits]\nwaiting_callers_max = 0",
            "`limits.waiting_callers_max`: 0: Expected `int` >= 1",
        ),
        ("[limits]\nin_flight_max = 0", "line 2: `limits.in_flight_max`: 0: Expected `int` >= 1"),
        (
            "limits.memory_share = 0.009",
            "line 1: `limits.memory_share`: 0.009: Expected `float` >=",
        ),
        ("limits.memory_share = 1.01", "line 1: `limits.memory_share`: 1.01: Expected `float` <="),
        ("[limits]\nopen_runs_max = 1.5", "line 2: `limits.open_runs_max`: 1.5: Expected `int "),
        ("[limits]\nnew_runs_per_s = nan", "`limits.new_runs_per_s`: nan: Expected"),
        ("limits = 3", "line 1: `limits`: 3: Expected `object`, got `int`"),
        ('targets = "http://a/"', "`targets`: 'http://a/': Expected `array`, got `str`"),
        ('targets = [\n  "ftp://a/"]', "line 1: `targets`: 'ftp://a/' must be"),
        ('targets = ["http://ada:hunter2@a/"]', "must not carry a user name"),
        ("private_targets = 1", "`private_targets`: 1: Expected `bool`, got `int`"),
        ('token_file = "atomic_hunter2"', "`token_file`: is the secret itself"),
        ('token_file = "none"', "clients/none: cannot be read: No such file or directory"),
        ('token_file = ""', "`token_file`: '': Expected `str` of length >= 1"),
        ('token_file = "."', "clients: is a directory"),
        ('ca_file = "shop.toml"', "clients/shop.toml: has no certificates in PEM"),
        ("disabled", "clients/shop.toml: is not TOML: "),
        ("x = " + "[" * 100_000, "clients/shop.toml: is not TOML: nested too deeply"),
    ],
)
def test_a_slip_in_a_client(tmp_path: Path, text: str, said: str) -> None:
    """The start is refused with file, line, member and what to do, and no secret is repeated."""
    why = why_not(in_directory(tmp_path, shop=text))
    assert str(tmp_path / "clients/shop.toml") in why or "clients" in said
    assert said in why
    assert "hunter2" not in why


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n[clients.shop]\nprot = 1", "line 3: `clients.shop.prot`: unknown member; there are"),
        ("[clients.api]", "line 1: `clients.api`: 'api' is a route of the engine"),
        ('[clients."-a"]', "line 1: `clients.-a`: '-a' is no client's name: 1 to 64 of"),
        (f"[clients.{'a' * 65}]", "is no client's name"),
        (
            "[clients.a.b]",
            '`clients.a.b`: unknown member; a client with a dot in its name is `["a.b',
        ),
        ("clients = 3", "line 1: `clients`: clients are tables, `[clients.NAME]`"),
        ("[clients]\nshop = 3", "line 2: `clients.shop`: clients are tables, `[clients.NAME]`"),
        ("[[clients.shop]]", "line 1: `clients.shop`: clients are tables"),
        ("[clients.a]\n[clients.a.limits]\nx = 1", "line 3: `clients.a.limits.x`: unknown member"),
        ("[client.shop]", "line 1: `client`: there are no tables but `[clients.NAME]`"),
    ],
)
def test_a_slip_in_a_table(tmp_path: Path, text: str, said: str) -> None:
    """The same of the settings file; the longest name that a client may have is taken."""
    assert said in why_not(in_settings(tmp_path, text))
    assert held(in_settings(tmp_path, f"[clients.{'a' * 64}]")).clients[0].name == "a" * 64


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "admin.token: has no token. One is made by: echo"),
        (["# none", ""], "admin.token: has no token"),
        ([secret(1), "hunter2"], "admin.token: line 2: is no token: they begin with `atomic_`"),
        (["atomic_hunter2"], "line 1: a token has 43 to 512 characters after `atomic_`, and this"),
        (["atomic_" + secret(1)[7:49]], "and this has 42"),
        (["atomic_" + secret(1)[7:] * 8], "and this has 544"),
        (["atomic_" + "x" * 64], "line 1: is no secret, but the same over and over"),
        ([f"{secret(1)} hunter2"], "line 1: is no token"),
        ([secret(number) for number in range(101)], "has 101 tokens; the limit is 100"),
    ],
)
def test_what_is_no_token(tmp_path: Path, lines: list[str], said: str) -> None:
    """A person's weak secret is refused, and in no error is it repeated."""
    why = why_not(tokens_of(tmp_path, *lines))
    assert said in why
    assert "hunter2" not in why


@pytest.mark.parametrize("count", [43, 512])
def test_the_shortest_and_the_longest_token(tmp_path: Path, count: int) -> None:
    """256 bits in base64, and what fits a head. The same twice is one; a hundred are taken."""
    text = (secret(1)[7:] * 8)[:count]
    assert len(held(tokens_of(tmp_path, f"atomic_{text}", f"atomic_{text}")).tokens) == 1
    many = held(tokens_of(tmp_path, *(secret(number) for number in range(100)))).tokens
    assert len({token.name for token in many}) == 100


@pytest.mark.parametrize("rate", [0.01, 1_000_000.0])
def test_the_lowest_and_the_highest_rate(tmp_path: Path, rate: float) -> None:
    """One run in a hundred seconds, and more than an engine does; whole numbers are taken too."""
    found = held(in_directory(tmp_path, shop=f"limits.new_runs_per_s = {rate}"))
    assert found.clients[0].limits == ClientLimits(rate)


def test_a_token_keeps_its_name(tmp_path: Path) -> None:
    """Whatever stands before it; and no name is longer than an actor's may be."""
    write(tmp_path / "clients/t", "\n".join((secret(1), secret(2))))
    sources = in_directory(tmp_path, **{"a" * 64: 'token_file = "t"'})
    first, second = (token.name for token in held(sources).tokens)
    assert first != second
    assert len(first) == 64
    write(tmp_path / "clients/t", secret(2))
    assert [token.name for token in held(sources).tokens] == [second]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "has 0 signing secrets; it takes one, or while it changes the new one and the old"),
        ([f"whsec_{KEY}", "whsec_" + "B" * 32, "whsec_" + "C" * 32], "has 3 signing secrets"),
        ([KEY], "line 1: is no signing secret: `whsec_` and the base64 of 24 to 64 random bytes"),
        (["whsec_" + base64.b64encode(bytes(23)).decode()], "line 1: is no signing secret"),
        (["whsec_" + base64.b64encode(bytes(65)).decode()], "line 1: is no signing secret"),
        (["whsec_" + KEY[:-1] + "%"], "line 1: is no signing secret"),
    ],
)
def test_what_is_no_signing_secret(tmp_path: Path, lines: list[str], said: str) -> None:
    """As Standard Webhooks has it; at its limits it is taken, two of them in their order."""
    sources = in_directory(tmp_path, shop='signing_secret_file = "s"')
    write(tmp_path / "clients/s", "\n".join(lines))
    why = why_not(sources)
    assert said in why
    assert KEY[:8] not in why
    both = [base64.b64encode(bytes([7] * count)).decode() for count in (64, 24)]
    write(tmp_path / "clients/s", "\n".join(f"whsec_{each}" for each in both))
    assert held(sources).clients[0].signing_secrets == (b"\7" * 64, b"\7" * 24)


def test_certificates(tmp_path: Path) -> None:
    """Looked at when the file is read, and not only when the first call fails. Bundles have the
    names of authorities in them, in any script."""
    sources = in_directory(tmp_path, shop='ca_file = "ca.pem"')
    bundle = f"# Főtanúsítvány\n{trustme.CA().cert_pem.bytes().decode()}"
    write(tmp_path / "clients/ca.pem", bundle, 0o644)
    assert held(sources).clients[0].ca_file == str(tmp_path / "clients/ca.pem")


def test_rights(tmp_path: Path) -> None:
    """What others may read is no secret, and what others may write no definition. A group may read,
    as that of a pod does, and the owner is anybody, as root is of a mounted Secret."""
    sources = tokens_of(tmp_path, secret(1))
    path = tmp_path / "admin.token"
    path.chmod(0o640)
    assert held(sources).tokens
    for mode in (0o644, 0o602):
        path.chmod(mode)
        assert f"may read it (mode {mode:04o}): `chmod o= {path}`" in why_not(sources)
    sources = in_directory(tmp_path, shop="")
    (tmp_path / "clients/shop.toml").chmod(0o664)
    assert held(sources).clients
    (tmp_path / "clients/shop.toml").chmod(0o666)
    assert "shop.toml: every user of this machine may write it" in why_not(sources)
    sources = in_settings(tmp_path, "port = 1")
    (tmp_path / "atomic.toml").chmod(0o666)
    assert held(sources).clients == [], "without clients it is as it always was"
    write(tmp_path / "atomic.toml", "[clients.shop]", 0o666)
    assert "atomic.toml: every user of this machine may write it" in why_not(sources)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said as whom the engine tried. (Root, who runs some tests, may read everything.)"""

    def refuse(path: Path, flags: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    sources = tokens_of(tmp_path, secret(1))
    monkeypatch.setattr(os, "open", refuse)
    assert f"may not be read by this process, which is user {os.geteuid()}" in why_not(sources)


def test_what_is_no_file(tmp_path: Path) -> None:
    """A pipe that nobody writes to keeps no start waiting, nor does a file without end."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path, said in (
        ("pipe", "pipe: is no file"),
        ("/dev/zero", "/dev/zero: is no file"),
        ("a\\u0000b", "is no path"),
    ):
        assert said in why_not(in_directory(tmp_path, shop=f'token_file = "../{path}"')) or (
            said in why_not(in_directory(tmp_path, shop=f'token_file = "{path}"'))
        )
    write(tmp_path / "large", "#" * look.FILE_BYTES_MAX + "\n" + secret(1))
    assert "is larger than 1,048,576 bytes" in why_not(
        in_directory(tmp_path, shop='token_file = "../large"')
    )
    write(tmp_path / "large", secret(1) + "\n" + "#" * (look.FILE_BYTES_MAX - len(secret(1)) - 1))
    assert held(in_directory(tmp_path, shop='token_file = "../large"')).tokens
    write(tmp_path / "clients/shop.toml", "")
    (tmp_path / "clients/shop.toml").write_bytes(b"\xff")
    assert "shop.toml: is not UTF-8 text" in why_not(Sources(clients_dir=tmp_path / "clients"))


def test_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is hidden or an editor's is none of it, and a thousand clients are the most."""
    others = ("shop.toml~", ".shop.toml.swp", ".hidden.toml", "README", "#shop.toml#")
    sources = in_directory(tmp_path, shop="")
    for name in others:
        write(tmp_path / "clients" / name, "x")
    assert [client.name for client in held(sources).clients] == ["shop"]
    monkeypatch.setattr(look, "CLIENT_FILES_MAX", 1)
    assert held(sources).clients
    write(tmp_path / "clients/bank.toml", "")
    assert "clients_dir: " in why_not(sources)
    assert "has 2 clients; the limit is 1" in why_not(sources)
    assert "cannot be read: No such file" in why_not(Sources(clients_dir=tmp_path / "none"))
    path = write(tmp_path / "file", "")
    assert f"clients_dir: {path}: is no directory" in why_not(Sources(clients_dir=path))
    assert "bad name.toml: its name: 'bad name' is no client's name" in why_not(
        in_directory(tmp_path / "clients", **{"bad name": ""})
    )


def test_a_client_that_two_files_define(tmp_path: Path) -> None:
    """Whichever came later is told of the other."""
    write(tmp_path / "atomic.toml", "[clients.shop]")
    sources = Sources(tmp_path / "atomic.toml", in_directory(tmp_path, shop="").clients_dir)
    assert why_not(sources).endswith(
        f"shop.toml: client shop is defined in {tmp_path}/atomic.toml [clients.shop] as well:"
        " keep one"
    )
    write(tmp_path / "atomic.toml", "")
    before = held(sources)
    write(tmp_path / "atomic.toml", "[clients.shop]")
    after = read_files(sources, before, now=5)
    assert after.clients == before.clients
    assert list(after.bad) == [f"{tmp_path}/atomic.toml [clients.shop]"]


def test_a_token_that_two_files_have(tmp_path: Path) -> None:
    """A token is one client's: what was copied from another's file is not taken, and the other
    keeps it."""
    for name, number in (("bank", 1), ("shop", 2)):
        write(tmp_path / f"clients/{name}.token", secret(number))
    clients = {name: f'token_file = "{name}.token"' for name in ("bank", "shop")}
    sources = in_directory(tmp_path, **clients)
    before = held(sources)
    write(tmp_path / "clients/bank.token", f"{secret(2)}\n")
    after = read_files(sources, before)
    assert sorted(token.name for token in after.tokens) == sorted(
        token.name for token in before.tokens
    )
    (bad,) = after.bad.values()
    assert bad.why.endswith("clients/shop.toml as well: whose is it?")
    assert secret(2) not in bad.why
    assert "whose is it?" in why_not(sources)


def test_a_bad_part_leaves_the_others_alone(tmp_path: Path) -> None:
    """Each client holds as it was until its own slip is mended; a new one that is bad is not there.
    Since when it is bad stays as it was first found."""
    sources = in_directory(tmp_path, bank='targets = ["http://a/"]', shop='targets = ["http://b/"]')
    before = held(sources)
    in_directory(tmp_path, bank="target = []", shop='targets = ["http://c/"]', new="x = 1")
    after = read_files(sources, before, now=5)
    targets = {client.name: client.targets for client in after.clients}
    assert targets == {"bank": ("http://a/",), "shop": ("http://c/",)}
    assert {Path(place).stem: bad.since for place, bad in after.bad.items()} == {
        "bank": 5,
        "new": 5,
    }
    in_directory(tmp_path, bank="tragets = []")
    later = read_files(sources, after, now=9)
    (bad,) = (bad for place, bad in later.bad.items() if "bank" in place)
    assert (bad.since, "tragets" in bad.why) == (5, True)
    (tmp_path / "clients/bank.toml").unlink()
    assert [client.name for client in read_files(sources, later).clients] == ["shop"]


def test_a_file_that_is_bad_as_a_whole_holds_all_its_parts(tmp_path: Path) -> None:
    """A settings file that is no TOML, or would not start an engine; a directory that is gone."""
    write(tmp_path / "atomic.toml", "[clients.shop]\n[clients.bank]")
    sources = Sources(tmp_path / "atomic.toml", in_directory(tmp_path, a="", b="").clients_dir)
    before = held(sources)
    (tmp_path / "clients").rename(tmp_path / "away")
    for text in ("[clients.shop", "prot = 1\n[clients.shop]", "port = 'x'"):
        write(tmp_path / "atomic.toml", text)
        after = read_files(sources, before)
        assert sorted(client.name for client in after.clients) == ["a", "b", "bank", "shop"]
        assert set(after.bad) == {str(tmp_path / "atomic.toml"), str(tmp_path / "clients")}
