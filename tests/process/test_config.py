"""The configuration: which place wins, and what a slip is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.access.limits import HostLimits
from engine.process.config import Config, ConfigError, load
from engine.process.environment import service_links
from engine.registry.members import ClientMembers
from tests.settings_page import members_table, settings, settings_table

DOC = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"


@pytest.fixture(autouse=True)
def in_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No `atomic.toml` of the surroundings gets in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(flags=None, environ=None, file=None) -> str:
    """The text of the ConfigError that this gives."""
    with pytest.raises(ConfigError) as caught:
        load(flags or {}, environ or {}, file)
    return str(caught.value)


def test_without_anything_the_defaults_hold():
    """The five-minute start needs no setting."""
    config = load({}, {})
    assert config == Config()
    assert (config.host, config.port, config.db) == ("127.0.0.1", 8420, "atomic.db")


def test_flags_win_over_environment_over_file(tmp_path: Path):
    """Each place is read, and the nearer one to the caller wins."""
    file = tmp_path / "engine.toml"
    file.write_text('port = 1\ndb = "file.db"\nlog_level = "error"\nhosts = ["a.example"]\n')
    environ = {"ATOMIC_PORT": "2", "ATOMIC_DB": "environment.db", "HOME": "/"}
    config = load({"port": 3, "host": None}, environ, file)
    assert (config.port, config.db, config.log_level) == (3, "environment.db", "error")
    assert config.hosts == ("a.example",)
    assert config.host == "127.0.0.1"


def test_the_default_file_is_read_when_it_is_there(tmp_path: Path):
    """`atomic.toml` in the working directory needs no flag."""
    (tmp_path / "atomic.toml").write_text("port = 9\n")
    assert load({}, {}).port == 9


def test_limits_of_hosts_are_tables(tmp_path: Path):
    """By the name that hosts are counted by; each bound at its limit, and one beyond."""
    file = tmp_path / "engine.toml"
    file.write_text(
        '[host_limits."API.example:443"]\nin_flight_max = 1\ncalls_per_s = 0.001\n'
        '[host_limits."[::1]:9000"]\ncalls_per_s = 10_000\n'
    )
    limits = load({}, {}, file).host_limits
    assert limits == {
        "api.example": HostLimits(in_flight_max=1, calls_per_s=0.001),
        "[::1]:9000": HostLimits(calls_per_s=10_000),
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[host_limits."a:1"]\nin_flight_max = 0\n', ">= 1"),
        ('[host_limits."a:1"]\ncalls_per_s = 10_001\n', "<= 10000"),
        ('[host_limits."a:1"]\ncalls_per_s = 0.0009\n', ">= 0.001"),
        ('[host_limits."a:1"]\nrate = 1\n', "unknown field `rate`"),
        ('[host_limits."http://a/"]\n', "write name and port"),
        ('[host_limits."a:99999"]\n', "bad host or port"),
        ('[host_limits."a:80"]\n[host_limits.a]\n', "another table has: a"),
        ("[host_limit.a]\n", "tables"),
    ],
)
def test_a_slip_in_limits_of_a_host_is_told(tmp_path: Path, text: str, why: str):
    """With its place."""
    file = tmp_path / "engine.toml"
    file.write_text(text)
    told = refusal(file=file)
    assert told.startswith(f"{file}: line 1: ")
    assert why in told
    assert "settings file alone" in refusal(environ={"ATOMIC_HOST_LIMITS": "a=1"})


def test_hosts_in_the_environment_are_separated_by_commas():
    """A list has a spelling in an environment variable."""
    assert load({}, {"ATOMIC_HOSTS": "a.example, [::1],"}).hosts == ("a.example", "[::1]")
    assert load({}, {"ATOMIC_HOSTS": ""}).hosts == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("db = 'x'\nprot = 8420", "atomic.toml: line 2: `prot`: unknown setting; did you mean"),
        ("\nport = 70000", "atomic.toml: line 2: `port`: 70000: Expected `int` <= 65535"),
        ('port = "8420"', "atomic.toml: line 1: `port`: '8420': Expected `int`, got `str`"),
        ("port = true", "atomic.toml: line 1: `port`: True: Expected `int`, got `bool`"),
        ("port = ", "atomic.toml: is not TOML: "),
        ("[server]\nport = 1", "atomic.toml: line 1: `server`: there are no tables"),
        (
            'hosts = ["http://a"]',
            "atomic.toml: line 1: `hosts`: ['http://a']: a name of it is none",
        ),
        (
            'otlp_endpoint = "collector:4318"',
            "atomic.toml: line 1: `otlp_endpoint`:"
            " 'collector:4318': it is no http:// or https:// URL",
        ),
        ('zebra = "x"', "atomic.toml: line 1: `zebra`: unknown setting"),
        ('admin_token = "hunter2"', "atomic.toml: line 1: `admin_token`: unknown setting; did you"),
        ("a = 1\nb.c = 2\n[d]\nport = 1", "atomic.toml: line 1: `a`: unknown setting"),
        ("x = " + "[" * 100_000, "atomic.toml: is not TOML: nested too deeply"),
    ],
)
def test_a_slip_in_the_file_is_named_with_its_line(tmp_path: Path, text: str, said: str):
    """Whoever reads the error need not search."""
    (tmp_path / "atomic.toml").write_text(text)
    assert refusal().startswith(said)
    assert "hunter2" not in refusal()


def test_paths_in_a_file_begin_beside_it(tmp_path: Path):
    """Those of files that the engine reads; elsewhere they begin in the working directory, as that
    of the database always did. Tables of clients are no settings."""
    (tmp_path / "etc").mkdir()
    file = tmp_path / "etc" / "engine.toml"
    file.write_text(
        'db = "a.db"\nclients_dir = "clients"\nread_token_file = "/run/read"\n[clients.shop]\n'
    )
    config = load({}, {"ATOMIC_ADMIN_TOKEN_FILE": "admin"}, file)
    assert (config.db, config.clients_dir) == ("a.db", str(tmp_path / "etc" / "clients"))
    assert (config.read_token_file, config.admin_token_file) == ("/run/read", "admin")
    assert "ATOMIC_CLIENTS_DIR: '': Expected `str`" in refusal(environ={"ATOMIC_CLIENTS_DIR": ""})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    """A missing or binary file that was asked for is an error, not an empty file."""
    assert "cannot be read" in refusal(file=tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    assert "is not UTF-8" in refusal(file=tmp_path / "binary.toml")


def test_a_slip_in_the_environment_is_named():
    """A wrong value and a misspelt variable are refused with the variable's name."""
    assert refusal(environ={"ATOMIC_PORT": "x"}).startswith(
        "environment ATOMIC_PORT: 'x': Expected"
    )
    said = refusal(environ={"ATOMIC_PROT": "1"})
    assert said == "environment ATOMIC_PROT: unknown setting; did you mean `ATOMIC_PORT`?"


def test_foreign_variables_of_the_prefix_are_left_alone():
    """The command's own variable and those a cluster sets do not stop the engine."""
    environ = {"ATOMIC_URL": "http://127.0.0.1:1", "ATOMIC_SERVICE_HOST": "10.0.0.1"}
    environ |= {"ATOMIC_CLIENT": "shop", "ATOMIC_ACTOR": "ada"}
    environ |= {"ATOMIC_TOKEN_FILE": "billing.token", "ATOMIC_TOKEN": "atomic_…"}
    environ |= {"ATOMIC_SIGNING_SECRET_FILE": "billing.whsec"}
    assert load({}, environ) == Config()


def test_a_secret_in_the_environment_is_refused_and_not_repeated():
    """Whoever sets the token itself where its file belongs is told so."""
    said = refusal(environ={"ATOMIC_ADMIN_TOKEN": "atomic_hunter2"})
    assert said == (
        "environment ATOMIC_ADMIN_TOKEN: unknown setting; did you mean `ATOMIC_ADMIN_TOKEN_FILE`?"
        " Secrets stand in files, which it names."
    )


SERVICE = {
    "ATOMIC_PORT": "tcp://10.0.0.1:8420",
    "ATOMIC_PORT_8420_TCP": "tcp://10.0.0.1:8420",
    "ATOMIC_PORT_8420_TCP_ADDR": "10.0.0.1",
    "ATOMIC_PORT_8420_TCP_PORT": "8420",
    "ATOMIC_PORT_8420_TCP_PROTO": "tcp",
    "ATOMIC_SERVICE_HOST": "10.0.0.1",
    "ATOMIC_SERVICE_PORT": "8420",
    "ATOMIC_SERVICE_PORT_HTTP": "8420",
    "ATOMIC_DB_PORT": "tcp://10.0.0.2:5432",
    "ATOMIC_DB_SERVICE_HOST": "10.0.0.2",
}
"""What Kubernetes sets for Services `atomic` and `atomic-db` (docs, "Environment variables")."""


def test_kubernetes_variables_of_a_service_are_not_ours():
    """A Service called `atomic` sets `ATOMIC_PORT`: it is none of a port, and a slip there still
    is refused."""
    assert load({}, SERVICE) == Config()
    assert service_links({**SERVICE, "ATOMIC_URL": "x", "PORT": "tcp://x"}) == sorted(SERVICE)
    assert service_links({"ATOMIC_PORT": "8420", "ATOMIC_STEPS_NEED_PARENT": "1"}) == []
    for slip in ("abc", "tcp:/10.0.0.1", "10.0.0.1:8420", "http://10.0.0.1"):
        said = refusal(environ={"ATOMIC_PORT": slip})
        assert said.startswith(f"environment ATOMIC_PORT: '{slip}': Expected `int`")


def test_a_slip_in_a_flag_is_named():
    """A flag's error is spelled as the flag was."""
    assert refusal({"port": -1}).startswith("--port: -1: Expected `int` >= 0")
    assert refusal({"log_level": "loud"}).startswith("--log-level: 'loud': Invalid enum value")
    assert refusal({"nonsense_flag": 1}) == "--nonsense-flag: unknown setting"


def test_settings_that_contradict_each_other_are_refused():
    """A grace longer than the stop, or a part larger than the whole, means a mistake."""
    assert "must be below stop_deadline_ms" in refusal({"drain_grace_ms": 10_000})
    assert "must not be above in_flight_max" in refusal({"in_flight_max": 10})
    assert refusal({"tls_cert": "a.pem"}).startswith("tls_cert is set and tls_key is not")
    assert refusal({"tls_key": "a.pem"}).startswith("tls_key is set and tls_cert is not")


@pytest.mark.parametrize("network", ["10.0.0.5", "10.1.0.0/16", "fd00::/8", "::1", "0.0.0.0/1"])
def test_proxies_are_addresses_and_networks(network: str):
    """Also in the environment, separated by commas."""
    assert load({}, {"ATOMIC_BEHIND_PROXY": f" {network}, 10.9.9.9"}).behind_proxy == (
        network, "10.9.9.9",
    )  # fmt: skip


@pytest.mark.parametrize("network", ["proxy", "10.0.0.5/8", "10.0.0", "10.0.0.0/33", "a/b"])
def test_what_is_no_network_is_named(network: str):
    """With what is wrong with it, and an example."""
    why = refusal({"behind_proxy": [network]})
    assert why.startswith(f"behind_proxy: {network!r} is no address and no network: ")
    assert '["10.0.0.5", "10.1.0.0/16"]' in why


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_everybody_is_no_proxy(network: str):
    """Anybody could then say who they are."""
    assert "is everybody" in refusal({"behind_proxy": [network]})


def test_every_setting_says_what_it_is():
    """The listing is whole, and has a reason for each."""
    listed = settings()
    assert [it.name for it in listed] == list(Config.__struct_fields__)
    assert all(len(it.doc) > 20 for it in listed)
    by_name = {it.name: it for it in listed}
    assert by_name["port"].type == "integer, 0 to 65_535"
    assert by_name["heartbeat_ms"].type == "integer, 1 to 3_600_000"
    assert by_name["body_bytes_max"].environment == "ATOMIC_BODY_BYTES_MAX"


def test_every_default_is_a_valid_value():
    """msgspec checks no defaults; a default out of its own bounds would be a trap."""
    assert load({it.name: it.default for it in settings()}, {}) == Config()


def test_the_documentation_has_every_setting_as_it_is():
    """The reference page is the listing; `just pages` writes it."""
    assert settings_table() in DOC.read_text()
    assert members_table() in DOC.read_text()
    assert all(len(it.doc) > 20 for it in settings(ClientMembers))


def test_memory_is_a_quarter_or_enough():
    """Nought means a quarter of what there is; what is set holds at least one body."""
    assert load({"store_bytes_max": 1 << 24}, {}).store_bytes_max == 1 << 24
    assert "store_bytes_max (16777215) must be 0" in refusal({"store_bytes_max": (1 << 24) - 1})
    assert load({"memory_bytes_max": 1 << 20}, {}).memory_bytes_max == 1 << 20
    said = refusal({"memory_bytes_max": (1 << 20) - 1})
    assert "memory_bytes_max (1048575) must be 0" in said


def test_keys_stay_as_long_as_the_longest_kept_run() -> None:
    """At the limit they are taken; below it, and without runs that go, what to do is said."""
    assert load({"retention_days": 30, "keys_kept_days": 60}, {}).keys_kept_days == 60
    assert load({"retention_days": 36_500}, {}).retention_days == 36_500
    assert "at least twice retention_days (60)" in refusal(
        {"retention_days": 30, "keys_kept_days": 59}
    )
    assert "without retention_days" in refusal({"keys_kept_days": 59})
    assert "<= 36500" in refusal({"retention_days": 36_501})
