"""The engine's configuration: one frozen record from flags, environment, a file, and defaults.

The first that names a setting wins, in that order. A setting is called `port` in `atomic.toml`,
`ATOMIC_PORT` in the environment and `--port` as a flag. A wrong name or value stops the start and
is named with its place: an engine that runs on with half of its limits is worse than none.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta, Struct

from engine.core.access.limits import HostLimits, host_name
from engine.core.rules.retention import LONGER
from engine.core.target import BadTarget
from engine.process.environment import (
    CLIENT_VARIABLES,
    ENVIRONMENT_PREFIX,
    RESEMBLES_MUCH,
    is_service_link,
)
from engine.process.toml import ConfigError as ConfigError  # whoever loads settings catches it
from engine.process.toml import TomlFile, parse_toml, resembling

DEFAULT_FILE = Path("atomic.toml")
CLIENTS = "clients"
"""The tables of a settings file: `[clients.NAME]`. `engine/registry/` reads them."""
HTTP_URL = r"^https?://[^\s/?#@]+(/[^\s?#]*)?$(?!\n)"
HOST_NAME = r"^([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])$(?!\n)"

_BYTES_MAX = 1 << 30
MEMORY_BYTES_MIN = 1 << 20
STORE_BYTES_MIN = 16 << 20
_HOUR_MS = 3_600_000
Milliseconds = Annotated[int, Meta(ge=1, le=_HOUR_MS)]
Bytes = Annotated[int, Meta(ge=1_024, le=_BYTES_MAX)]
Count = Annotated[int, Meta(ge=1, le=10_000_000)]
Days = Annotated[int, Meta(ge=0, le=36_500)]

FilePath = Annotated[str, Meta(min_length=1)] | None
"""Of a file that is read, or a directory of such. One without a root in a settings file begins
where that file stands."""


def _doc(text: str) -> Meta:
    return Meta(description=text)


class Config(Struct, frozen=True, kw_only=True):
    """Every setting of the engine. Immutable: a change needs a restart."""

    host: Annotated[str, Meta(min_length=1), _doc(
        "Address to listen on; `0.0.0.0`: every one of IPv4, `::`: every one. One that is not"
        " loopback needs tokens, and one of `tls_cert`, `behind_proxy` and `plain_http`."
    )] = "127.0.0.1"  # fmt: skip
    port: Annotated[int, Meta(ge=0, le=65_535), _doc(
        "TCP port to listen on. 0 takes any free port and says which in the log."
    )] = 8420  # fmt: skip
    db: Annotated[str, Meta(min_length=1), _doc(
        "Path of the SQLite file that holds everything. One engine owns it at a time."
    )] = "atomic.db"  # fmt: skip
    store: Annotated[Annotated[str, Meta(min_length=1)] | None, _doc(
        "Address of a PostgreSQL database that holds everything, in the place of `db`. See below."
    )] = None  # fmt: skip
    hosts: Annotated[tuple[Annotated[str, Meta(pattern=HOST_NAME)], ...], _doc(
        "Host names under which the engine answers, besides the loopback names (without port). Any"
        " other name is answered 421, so that a web page cannot reach the engine by pointing a name"
        " of its own at it; only `/healthz` and `/readyz` answer under any. In the environment"
        " separated by commas."
    )] = ()  # fmt: skip
    clients_dir: Annotated[FilePath, _doc(
        "Directory of files `NAME.toml`, each of which defines the client of that name: see below."
    )] = None  # fmt: skip
    admin_token_file: Annotated[FilePath, _doc(
        "File of tokens of the role `admin`, one a line. All of them are valid."
    )] = None  # fmt: skip
    operate_token_file: Annotated[FilePath, _doc(
        "The same of the role `operate`, for every client."
    )] = None  # fmt: skip
    read_token_file: Annotated[FilePath, _doc(
        "The same of the role `read`, for every client."
    )] = None  # fmt: skip
    tls_cert: Annotated[FilePath, _doc(
        "File of the certificate, with its chain, in PEM form. With it the engine speaks TLS (1.2"
        " or newer) and nothing else. Both files are looked at every 5 s: renewed ones are taken"
        " for new connections, a pair that cannot be used is told in the log."
    )] = None  # fmt: skip
    tls_key: Annotated[FilePath, _doc(
        "File of the certificate's private key, in PEM form, without a password. That others may"
        " read it is told in the log."
    )] = None  # fmt: skip
    behind_proxy: Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], _doc(
        "Addresses and networks (`10.1.0.0/16`) of the proxies before the engine. From others only"
        " `/healthz` and `/readyz` are answered, all else 403; the proxies alone are believed what"
        " `X-Forwarded-For` or `Forwarded` says. In the environment separated by commas."
    )] = ()  # fmt: skip
    plain_http: Annotated[bool, _doc(
        "Whether the engine may be reached from other machines without TLS and without a proxy:"
        " whoever can listen on the network reads payloads and tokens."
    )] = False  # fmt: skip
    public_url: Annotated[Annotated[str, Meta(pattern=HTTP_URL, max_length=2_048)] | None, _doc(
        "URL under which people reach the engine, as its proxy has it; may have a path:"
        " `https://ops.example.com/atomic`. Links of pages begin with its path, cookies are for TLS"
        " where it is https, and the engine answers to its host as to `hosts`. The dashboard copies"
        " addresses of pages that begin with it."
    )] = None  # fmt: skip
    ui: Annotated[bool, _doc(
        "Whether the engine serves pages for people below `/ui`. They only read."
    )] = True  # fmt: skip
    backup_dir: Annotated[FilePath, _doc(
        "Directory in which the engine makes a copy of its file every `backup_every_h` hours. Best"
        " on another disk."
    )] = None  # fmt: skip
    backup_every_h: Annotated[int, Meta(ge=1, le=8_760), _doc(
        "Hours from one copy in `backup_dir` to the next."
    )] = 24  # fmt: skip
    backup_keep: Annotated[int, Meta(ge=0, le=100_000), _doc(
        "How many of the copies that were made in `backup_dir` by themselves are kept; the oldest"
        " are deleted when a new one is whole. 0: all, and nothing is deleted."
    )] = 0  # fmt: skip
    otlp_endpoint: Annotated[Annotated[str, Meta(pattern=HTTP_URL, max_length=2_048)] | None, _doc(
        "URL of an OpenTelemetry collector (OTLP over HTTP; `/v1/traces` is added), to which every"
        " attempt goes as a span. Needs the extra `otel`."
    )] = None  # fmt: skip
    otlp_headers_file: Annotated[FilePath, _doc(
        "File of headers for it, `name: value`, one a line: its tokens belong in a file."
    )] = None  # fmt: skip
    alerts_url: Annotated[Annotated[str, Meta(max_length=2_048)] | None, _doc(
        "URL to which alerts are posted, as CloudEvents. Without a query: it is shown to all who"
        " may read runs."
    )] = None  # fmt: skip
    alerts_signing_secret_file: Annotated[FilePath, _doc(
        "File of the secret that alerts are signed with: `whsec_` and the base64 of 24 to 64 random"
        " bytes; two lines, the new one and the old: signed with both. Needed with `alerts_url`."
    )] = None  # fmt: skip
    alerts_rules: Annotated[tuple[str, ...], _doc(
        "What is told of: `failed`, `paused`, `late`, `host-down`, `disk`, `hold`, `new-cause`;"
        " none named: all. In the environment separated by commas."
    )] = ()  # fmt: skip
    alerts_late_after_s: Annotated[int, Meta(ge=60, le=31_536_000), _doc(
        "Seconds after which a run that is open, and not paused, is late."
    )] = 86_400  # fmt: skip
    alerts_private_target: Annotated[bool, _doc(
        "Whether the host of `alerts_url` may have a private address though its name has a dot."
    )] = False  # fmt: skip
    alerts_ca_file: Annotated[FilePath, _doc(
        "File of certificates (PEM) that the host of `alerts_url` is trusted by, besides the"
        " system's."
    )] = None  # fmt: skip
    audit_kept_days: Annotated[int, Meta(ge=1, le=3_650), _doc(
        "Days for which the audit is kept: what people did with which token, and which tokens were"
        " refused."
    )] = 365  # fmt: skip
    log_format: Annotated[Literal["auto", "console", "json"], _doc(
        "`console` for people, `json` for machines; `auto` is `console` on a terminal."
    )] = "auto"  # fmt: skip
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _doc(
        "The least severe lines that are logged. With `warning` those of failed attempts stay out,"
        " and those of failed runs come."
    )] = "info"  # fmt: skip
    body_bytes_max: Annotated[Bytes, _doc(
        "Largest body that is taken. Every open run keeps its payload; large data belongs elsewhere"
        " and is submitted as a reference."
    )] = 1_048_576  # fmt: skip
    json_depth_max: Annotated[int, Meta(ge=8, le=512), _doc(
        "Deepest nesting of a posted JSON document: bounds the stack of whoever parses it later."
    )] = 64  # fmt: skip
    header_bytes_max: Annotated[Bytes, _doc(
        "All header lines of a request together: kept in memory before anything is known of it."
    )] = 16_384  # fmt: skip
    header_lines_max: Annotated[int, Meta(ge=16, le=1_000), _doc(
        "Header lines of a request: many short lines cost more than their bytes."
    )] = 64  # fmt: skip
    answer_bytes_max: Annotated[Bytes, _doc(
        "Largest answer of an endpoint that is recorded. A larger one fails its step at once: to"
        " ask again would give the same."
    )] = 1_048_576  # fmt: skip
    steps_per_run_max: Annotated[int, Meta(ge=1, le=100_000), _doc(
        "Steps of one run. Stops a workflow that posts without end; a run is kept whole in memory."
    )] = 10_000  # fmt: skip
    depth_max: Annotated[int, Meta(ge=1, le=256), _doc(
        "Nesting of steps below their run's root. Stops a workflow that calls itself without end."
    )] = 32  # fmt: skip
    steps_need_parent: Annotated[bool, _doc(
        "Whether a new step is taken only with the parent token (`Atomic-Parent`) of the attempt"
        " that posts it. Without one a workflow that is posted again under another URL, while a"
        " function of its run is at work, cannot be told from a step, and runs as a step of itself."
    )] = False  # fmt: skip
    header_timeout_ms: Annotated[Milliseconds, _doc(
        "Time for a request's head to arrive. Connections that dribble bytes are cut."
    )] = 5_000  # fmt: skip
    body_timeout_ms: Annotated[Milliseconds, _doc(
        "Time for a request's body to arrive after its head."
    )] = 30_000  # fmt: skip
    unread_answer_timeout_ms: Annotated[Milliseconds, _doc(
        "How long an answer may wait for a client that does not read it."
    )] = 30_000  # fmt: skip
    keep_alive_timeout_ms: Annotated[Milliseconds, _doc(
        "How long a connection without a request stays open."
    )] = 60_000  # fmt: skip
    connections_max: Annotated[Count, _doc(
        "Connections open at once. Each waiting caller holds one. When all are taken a new one"
        " takes the place of one without a request under way: of those that have sent none yet or"
        " have no token the oldest, else of whoever has most. While each has one, health and"
        " operators are answered on up to 64 more. Needs as many file descriptors, and is lowered,"
        " with a warning, where there are fewer."
    )] = 12_000  # fmt: skip
    in_flight_max: Annotated[Count, _doc(
        "Requests to endpoints in flight at once, not counting functions of which a post hangs: as"
        " many of those at most, or 4_096 if that is more, but no more than `connections_max`."
    )] = 4_096  # fmt: skip
    in_flight_per_host_max: Annotated[Count, _doc(
        "The same for one target host: a slow host must not take every place."
    )] = 512  # fmt: skip
    host_limits: Annotated[dict[str, HostLimits], _doc(
        "What calls to one host may take, by its name with its port: a table for each, with"
        " `in_flight_max` and `calls_per_s`. Only in the file: see below."
    )] = {}  # fmt: skip
    workflows_in_flight_per_host_max: Annotated[int, Meta(ge=0, le=10_000_000), _doc(
        "Functions that may post steps (of workflows, and of steps that have posted before) in"
        " flight at one target host, counted also while they wait for a step: for a pool of few"
        " workers, fewer than it has. 0: any number."
    )] = 0  # fmt: skip
    runs_in_memory_max: Annotated[Count, _doc(
        "Active runs kept in memory. Beyond it new runs are answered 503; open ones go on."
    )] = 50_000  # fmt: skip
    memory_bytes_max: Annotated[int, Meta(ge=0, le=1 << 50), _doc(
        "Bytes of bodies that may be in memory together: posts, payloads, answers. What is large"
        " waits for room before it is read; posts that would wait long are answered 503. 0 is a"
        " quarter of the machine's memory, or of the container's if that is limited; else at least"
        " 1_048_576."
    )] = 0  # fmt: skip
    new_runs_wait_ms_max: Annotated[Milliseconds, _doc(
        "While the engine is busy new runs wait for their turn. Those that would wait longer are"
        " answered 503 at once; open runs go on."
    )] = 6_000  # fmt: skip
    suspend_after_ms: Annotated[Milliseconds, _doc(
        "How long a function may wait for steps that cannot move soon (they back off, wait, are"
        " paused, or have no place) before it is sent home; it is called again when one has ended."
        " 1 s at most while over half of `connections_max` are taken."
    )] = 20_000  # fmt: skip
    store_wait_ms: Annotated[Milliseconds, _doc(
        "While the database cannot be written (another program's lock, a full disk): after so long"
        " the log and the status say which process keeps it so. Posts are answered 503"
        " `store-unavailable` after half a second. At a start: how long a lock is waited for."
    )] = 5_000  # fmt: skip
    retention_days: Annotated[Days, _doc(
        "How long completed runs are kept after their end; those that failed or were cancelled"
        " twice as long, open ones always. Events of the stream are kept as long as completed runs."
        " Who posts the key of one that has gone is answered 410 `outcome-expired`. A shorter time"
        " acts an hour after the start that brought it. 0: for ever."
    )] = 0  # fmt: skip
    keys_kept_days: Annotated[Days, _doc(
        "How long the keys of runs that have gone are kept, counted from the run's end; at least"
        " twice `retention_days`. A key that is forgotten can be posted again, and opens another"
        " run. 0: for ever."
    )] = 0  # fmt: skip
    store_bytes_max: Annotated[int, Meta(ge=0, le=1 << 50), _doc(
        "Bytes in use in the database, beyond which no new run is taken: 503 `store-unavailable`."
        " Open runs go on, and nothing is removed for it. From 80 % on the log warns. What was"
        " freed in the file, and its log, does not count. 0: no limit; else at least 16_777_216."
    )] = 0  # fmt: skip
    standstill_ms: Annotated[Milliseconds, _doc(
        "How long a host at which functions wait for steps may give no sign of life before all who"
        " wait there are sent home, so that a small pool of workers does not wait for itself. Where"
        " its steps were seen to take longer: twice that, at most 45 s."
    )] = 2_000  # fmt: skip
    drain_grace_ms: Annotated[int, Meta(ge=0, le=_HOUR_MS), _doc(
        "At a stop: how long attempts in flight may go on before they count as interrupted."
    )] = 4_000  # fmt: skip
    stop_deadline_ms: Annotated[Milliseconds, _doc(
        "At a stop: after this the process ends whatever is left. Must be above `drain_grace_ms`,"
        " and below the time after which the service manager kills."
    )] = 10_000  # fmt: skip
    heartbeat_ms: Annotated[Milliseconds, _doc(
        "How often the event stream says that it lives. Readers that hear nothing for three"
        " heartbeats connect again."
    )] = 5_000  # fmt: skip


def load(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    file: Path | None = None,
    spelled: Callable[[str], str] = lambda name: f"--{name.replace('_', '-')}",
) -> Config:
    """Read the configuration. `file` None: `atomic.toml` in the working directory, if it is there.

    `flags` are named like the fields, and as `spelled` for people; those that are None were not
    given. Environment variables of the prefix that resemble no setting are left alone: other
    programs use it too. Raises ConfigError.
    """
    values = _from_file(file)
    values.update(_from_environment(environ))
    for name, value in flags.items():
        if value is not None:
            place = spelled(name)
            _known(name, place)
            values[name] = _converted(name, value, place, strict=False)
    config = Config(**values)
    _check_together(config)
    return config


def settings_file(file: Path | None) -> Path | None:
    """The file that settings come from: the one that was named, else `atomic.toml` if it is there
    in the working directory."""
    if file is None and DEFAULT_FILE.exists():
        return DEFAULT_FILE
    return file


def _from_file(file: Path | None) -> dict[str, Any]:
    file = settings_file(file)
    if file is None:
        return {}
    try:
        document = parse_toml(str(file), file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 text") from error
    return settings_in(document, file.parent)


def settings_in(document: TomlFile, directory: Path) -> dict[str, Any]:
    """What a settings file sets, but for its clients; it stands in `directory`. Raises
    ConfigError."""
    values = {}
    for name, value in document.members.items():
        if name == CLIENTS:
            continue
        place = document.place(name)
        if isinstance(value, dict) and name not in Config.__struct_fields__:
            raise ConfigError(
                f"{place}: there are no tables but `[clients.NAME]`; all settings stand at the top"
                " level, before the first table"
            )
        _known(name, place)
        values[name] = _converted(name, value, place, strict=True)
        if name == "host_limits":
            values[name] = _by_host(values[name], place)
        if values[name] is not None and is_path(name):
            values[name] = str(path_from(directory, values[name]))
    return values


def path_from(directory: Path, named: str | Path) -> Path:
    """Where a file is that one in `directory` names, in its shortest spelling: without `..`, unless
    a symlink has it lead elsewhere."""
    path = directory / named
    short = Path(os.path.normpath(path))
    is_same = os.path.realpath(short.parent) == os.path.realpath(path.parent)
    return short if is_same else path


def _by_host(limits: dict[str, HostLimits], place: str) -> dict[str, HostLimits]:
    """By the names that hosts are counted by."""
    found: dict[str, HostLimits] = {}
    for name, its in limits.items():
        try:
            host = host_name(name)
        except BadTarget as error:
            raise ConfigError(f"{place}: {shown(name)} {error}") from error
        if host in found:
            raise ConfigError(f"{place}: {shown(name)} names a host that another table has: {host}")
        found[host] = its
    return found


def is_path(name: str) -> bool:
    """Whether a setting is the path of a file that is read, or of a directory of such."""
    return bool(get_type_hints(Config, include_extras=True)[name].__origin__ == FilePath)


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        place = f"environment {variable}"
        if name in CLIENT_VARIABLES or is_service_link(name, text):
            continue
        if name not in Config.__struct_fields__:
            # A slip is refused; what other programs call so is not ours.
            if resembling(name, set(Config.__struct_fields__) - RESEMBLES_MUCH):
                _known(name, place, spelled=lambda near: ENVIRONMENT_PREFIX + near.upper())
            continue
        value: object = text
        if name == "host_limits":
            raise ConfigError(f"{place}: tables stand in the settings file alone: `[{name}.HOST]`")
        if name in ("hosts", "behind_proxy", "alerts_rules"):
            value = [item.strip() for item in text.split(",") if item.strip()]
        values[name] = _converted(name, value, place, strict=False)
    return values


def _known(name: str, place: str, spelled: Callable[[str], str] = str) -> None:
    if name in Config.__struct_fields__:
        return
    near = resembling(name, Config.__struct_fields__)
    hint = f"; did you mean `{spelled(near)}`?" if near else ""
    if near and near.endswith("_token_file") and not name.endswith("file"):
        hint += " Secrets stand in files, which it names."
    raise ConfigError(f"{place}: unknown setting{hint}")


_EXAMPLES = {
    "hosts": "a name of it is none that a Host header can have. An example:"
    ' `hosts = ["atomic.internal"]`.',
    "public_url": "it is no http:// or https:// URL without user, query and fragment. An example:"
    ' `public_url = "https://ops.example.com/atomic"`.',
    "otlp_endpoint": "it is no http:// or https:// URL without user, query and fragment. An"
    ' example: `otlp_endpoint = "http://collector:4318"`.',
}
"""Of settings that must look like something: what, in words."""


def _converted(name: str, value: object, place: str, *, strict: bool) -> Any:
    hint = get_type_hints(Config, include_extras=True)[name]
    try:
        return msgspec.convert(value, hint, strict=strict)
    except msgspec.ValidationError as error:
        why = _EXAMPLES.get(name, error) if "matching regex" in str(error) else error
        raise ConfigError(f"{place}: {shown(value)}: {why}") from error


def shown(value: object) -> str:
    """A value for an error's text."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _check_together(config: Config) -> None:
    if config.drain_grace_ms >= config.stop_deadline_ms:
        raise ConfigError(
            f"drain_grace_ms ({config.drain_grace_ms}) must be below stop_deadline_ms"
            f" ({config.stop_deadline_ms}): the grace is a part of the stop."
        )
    _check_retention(config)
    for given, missing in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
        if getattr(config, given) and not getattr(config, missing):
            raise ConfigError(
                f"{given} is set and {missing} is not: TLS needs both. Add `{missing} ="
                ' "/path/of/the/file.pem"`, or take the other away.'
            )
    for item in config.behind_proxy:
        _check_network(item)
    if 0 < config.store_bytes_max < STORE_BYTES_MIN:
        raise ConfigError(
            f"store_bytes_max ({config.store_bytes_max}) must be 0, for no limit, or at least"
            f" {STORE_BYTES_MIN}."
        )
    if 0 < config.memory_bytes_max < MEMORY_BYTES_MIN:
        raise ConfigError(
            f"memory_bytes_max ({config.memory_bytes_max}) must be 0, for a quarter of the memory,"
            f" or at least {MEMORY_BYTES_MIN}."
        )
    if config.in_flight_per_host_max > config.in_flight_max:
        raise ConfigError(
            f"in_flight_per_host_max ({config.in_flight_per_host_max}) must not be above"
            f" in_flight_max ({config.in_flight_max})."
        )


def _check_retention(config: Config) -> None:
    keys, least = config.keys_kept_days, LONGER * config.retention_days
    if keys and not config.retention_days:
        raise ConfigError(
            f"keys_kept_days ({keys}) says nothing without retention_days: no run goes, and so its"
            " key stays with it. Set retention_days, or take keys_kept_days away."
        )
    if 0 < keys < least:
        raise ConfigError(
            f"keys_kept_days ({keys}) must be 0, for ever, or at least twice retention_days"
            f" ({least}): so long failed runs are kept."
        )


def _check_network(text: str) -> None:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ConfigError(
            f"behind_proxy: {text!r} is no address and no network: {error}. An example:"
            ' `behind_proxy = ["10.0.0.5", "10.1.0.0/16"]`.'
        ) from error
    if network.prefixlen == 0:
        raise ConfigError(
            f"behind_proxy: {text!r} is everybody, who could then say of any request where it comes"
            " from. Name the proxies' own network."
        )
