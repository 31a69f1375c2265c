"""Files of settings, clients, tokens and secrets: any text is read, or refused with its place."""

from __future__ import annotations

import re
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from engine.core.access.token import Role
from engine.process.config import Config, load
from engine.process.toml import ConfigError, parse_toml
from engine.registry.files import Sources, read_files
from engine.registry.members import ClientMembers
from engine.registry.secrets import TOKEN_CHARACTERS_MIN
from tests.fuzz.taken import refusal_of
from tests.registry.files import secret
from tui import settings as dashboard

NAMES = [*Config.__struct_fields__, *ClientMembers.__struct_fields__, "clients", "clients.shop",
         "limits", "x", '"a.b"', "new_runs_per_s", 'host_limits."a:1"']  # fmt: skip
VALUES = ["1", "-1", "true", '"x"', '["http://a/"]', "[]", "{}", "{ x = 1 }", "1e400", "''",
          "1979-05-27T07:32:00Z", '"shop.token"', "9" * 5_000, '"\\ud800"', "nan"]  # fmt: skip
LINES = st.one_of(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)).map(" = ".join),
    st.sampled_from(NAMES).map("[{}]".format),
    st.sampled_from(["[clients.shop]", "[[clients]]", "# x", "=", "\x00", "[" * 2_000, "\ufeff"]),
    st.text(max_size=12),
)
DOCUMENTS = st.lists(LINES, max_size=8).map("\n".join)


@given(DOCUMENTS)
@example(f"port = {'9' * 5_000}")
@example("x = " + "[" * 5_000)
def test_any_text_is_settings_or_refused(text: str) -> None:
    """The same of a file that is named at the start, and of one that is looked at again: what
    cannot be read is told with the file, in one line."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "atomic.toml"
        path.write_bytes(text.encode("utf-8", "replace"))
        path.chmod(0o600)
        with suppress(ConfigError):
            load({}, {}, path)
        found = read_files(Sources(settings=path))
        assert all(str(path) in bad.why for bad in found.bad.values())
        (Path(directory) / "shop.toml").write_bytes(text.encode("utf-8", "replace"))
        there = read_files(Sources(clients_dir=Path(directory)))
        assert set(there.parts) | set(there.bad)


@given(st.text(max_size=60) | DOCUMENTS)
def test_any_text_is_toml_or_refused(text: str) -> None:
    """Whatever the parser of the standard library says of it."""
    why = refusal_of(ConfigError, parse_toml, "a.toml", text)
    assert why is None or str(why).startswith("a.toml: is not TOML")


@given(DOCUMENTS | st.binary(max_size=40).map(lambda data: data.decode("latin1")))
@example(f"x = {'9' * 5_000}")
@example("x = " + "[" * 5_000)
def test_any_text_is_the_dashboards_settings_or_refused(text: str) -> None:
    """The file is named."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "dashboard.toml"
        path.write_bytes(text.encode("latin1", "replace"))
        why = refusal_of(dashboard.ConfigError, dashboard.read, path)
        assert why is None or str(why).startswith(str(path))


SECRET = secret(1)
SECRET_LINES = st.one_of(
    st.sampled_from(
        [SECRET, f"{SECRET}\x85", f"whsec_{'QUJD' * 12}", "# x", "", "atomic_", "whsec_"]
    ),
    st.text(max_size=20),
    st.text("abcdefgh", min_size=TOKEN_CHARACTERS_MIN, max_size=60).map("atomic_{}".format),
)


@given(st.lists(SECRET_LINES, max_size=4), st.booleans())
def test_no_error_repeats_a_secret(lines: list[str], signing: bool) -> None:
    """Neither of a file of tokens nor of one of signing secrets, whatever is wrong with it; and
    nothing that holds them shows them."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        path = root / "it"
        path.write_bytes("\n".join(lines).encode("utf-8", "replace"))
        path.chmod(0o600)
        if signing:
            (root / "shop.toml").write_text('targets = []\nsigning_secret_file = "it"\n')
            found = read_files(Sources(clients_dir=root))
        else:
            found = read_files(Sources(token_files=((Role.ADMIN, path),)))
        said = repr(found)
    assert not (signing and re.search(r"b['\"]", said.partition("marks=")[0])), "no bytes of a key"
    for line in lines:
        chance = line.strip().partition("_")[2]
        assert len(chance) < TOKEN_CHARACTERS_MIN or chance not in said
