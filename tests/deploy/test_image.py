"""The image, the compose file and the manifests: what reads them, and what must be true of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from engine.cli.main import main
from engine.core.access.token import Role
from engine.process import config
from engine.process.memory import SHARE_OF_MEMORY
from engine.registry.files import Sources, read_files
from engine.wire.routes import ROUTES

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose.yaml"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
KUBERNETES = ROOT / "deploy" / "kubernetes"
BUILD_LOCK = ROOT / "deploy" / "build.lock"
LOCKS = (ROOT / "requirements.lock", ROOT / "deploy" / "requirements.lock")
pytestmark = pytest.mark.system  # the extra `checks`, which .ci/run installs


def documents(text: str) -> list[Any]:
    """Of a YAML file; `!override`, which is Compose's own, changes how files are joined, not what
    stands there."""
    import yaml

    return list(yaml.safe_load_all(text.replace("!override ", "")))


def on_the_page(word: str) -> Any:
    """The compose file on the page that has the word."""
    page = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
    (text,) = [it for it in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if word in it]
    (found,) = documents(text)
    return found


@pytest.fixture
def compose() -> Any:
    return documents(COMPOSE.read_text())[0]


@pytest.fixture
def manifests() -> dict[str, Any]:
    """By kind."""
    found = [each for path in KUBERNETES.glob("*.yaml") for each in documents(path.read_text())]
    return {each["kind"]: each for each in found}


def test_the_compose_file_is_one(compose: Any) -> None:
    """By the specification, which finds a key that is none; each volume is declared and used."""
    from compose_spec import PyCompose

    PyCompose.from_json(json.dumps(compose)).validate()  # JSON, as it knows no merge keys
    mounted = {
        volume.partition(":")[0]
        for each in compose["services"].values()
        for volume in each["volumes"]
    }
    assert mounted == compose["volumes"].keys()
    compose["services"]["engine"]["comand"] = []
    with pytest.raises(ValueError, match="comand"):
        PyCompose.from_json(json.dumps(compose))


def test_the_page_adds_an_application_to_it(compose: Any) -> None:
    """What the page has beside it is a compose file too; the command and the application share the
    application's keys at a directory that the image has, and the engine and the demonstration have
    none of them."""
    from compose_spec import PyCompose

    override = on_the_page("billing")
    PyCompose.from_json(json.dumps(override)).validate()
    assert override["services"].keys() - compose["services"].keys() == {"billing"}
    mounts = {name: each["volumes"] for name, each in override["services"].items()}
    assert mounts == {"billing": ["billing-keys:/keys:ro"], "atomic": ["billing-keys:/keys"]}
    assert override["volumes"].keys() == {"billing-keys"}
    assert "/keys" in DOCKERFILE.read_text()
    environment = override["services"]["billing"]["environment"]
    page = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
    asked = re.findall(r"--to (/keys/\S+)", page)
    assert asked[:2] == [environment[f"ATOMIC_{it}_FILE"] for it in ("TOKEN", "SIGNING_SECRET")]


def test_the_page_gives_it_a_certificate(compose: Any, tmp_path: Path) -> None:
    """All of its services that talk with the engine are told the new URL and whom to trust; and the
    engine's own health check asks as its settings say, so that they start at all."""
    from compose_spec import PyCompose

    override = on_the_page("ATOMIC_TLS_CERT")
    PyCompose.from_json(json.dumps(override)).validate()
    services = compose["services"]
    asks = {name for name, it in services.items() if "ATOMIC_URL" in it.get("environment", {})}
    assert override["services"].keys() == asks | {"engine"}
    for name in asks:
        it = override["services"][name]
        assert it["environment"]["ATOMIC_URL"] == "https://engine:8420"
        place = it["environment"]["SSL_CERT_FILE"]
        assert [volume.split(":")[1] for volume in it["volumes"]] == [place]
    file = tmp_path / "atomic.toml"
    file.write_text('admin_token_file = "admin.token"\nclients_dir = "clients"\n')
    joined = services["engine"]["environment"] | override["services"]["engine"]["environment"]
    settings = settings_of(joined, file)
    assert (settings.plain_http, settings.tls_cert) == (False, "/tls/tls.crt")
    kind, *words = services["engine"]["healthcheck"]["test"]
    serve = services["engine"]["command"]
    assert (kind, words) == ("CMD", ["atomic", "health", *serve[1:]])


def test_what_setup_wrote_is_changed_as_the_page_says(compose: Any, tmp_path: Path) -> None:
    """By the service that may write there: a definition comes out and goes in, and a token has
    another before it, then alone. The engine takes what the files say after each step."""
    page = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
    writable = {each for each in compose["services"]["setup"]["volumes"] if ":ro" not in each}
    assert writable == {"config:/etc/atomic", "demo-keys:/keys"}
    places = {"/etc/atomic": str(tmp_path / "etc"), "/keys": str(tmp_path / "keys")}

    def real(word: str) -> str:
        for place, there in places.items():
            word = word.replace(place, there)
        return word

    setup = compose["services"]["setup"]["command"]
    assert CliRunner().invoke(main, [real(word) for word in setup]).exit_code == 0
    sources = Sources(
        clients_dir=tmp_path / "etc/clients",
        token_files=((Role.ADMIN, tmp_path / "etc/admin.token"),),
    )

    def run(line: str) -> None:
        words = line.split(" --entrypoint ", 1)[1].replace(" setup ", " ", 1)
        subprocess.run(["sh", "-ec", real(words)], cwd=tmp_path, check=True)

    def admins() -> list[str]:
        found = read_files(sources)
        assert found.bad == {}
        return [token.name for token in found.tokens if token.role is Role.ADMIN]

    lines = re.findall(r"^\$ (docker compose run .* setup .*)$", page, re.MULTILINE)
    out, back, more, less = lines
    run(out)
    changed = tmp_path / "demo.toml"
    changed.write_text(changed.read_text() + "disabled = true\n")
    run(back)
    (client,) = read_files(sources).clients
    assert (client.name, client.disabled) == ("demo", True)
    (old,) = admins()
    run(more)
    new, kept = admins()
    assert (kept, new != old) == (old, True)
    assert (tmp_path / "etc/admin.token").stat().st_mode & 0o777 == 0o600
    run(less)
    assert admins() == [new]


def test_the_dockerfile_has_no_slips(tmp_path: Path) -> None:
    """By hadolint; one that is planted is found."""
    hadolint = shutil.which("hadolint")
    assert hadolint

    def ended(file: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run((hadolint, file), capture_output=True, text=True, check=False)

    assert ended(DOCKERFILE).stdout == ""
    planted = tmp_path / "Dockerfile"
    planted.write_text(DOCKERFILE.read_text() + "RUN sudo apt-get install x\n")
    assert "DL3004" in ended(planted).stdout


def test_the_manifests_are_kubernetes(tmp_path: Path) -> None:
    """By its schemas, without a member that they do not know; one that is planted is found."""

    def ended(*files: Path) -> subprocess.CompletedProcess[str]:
        words = ["kubernetes-validate", "--strict", *map(str, files)]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    files = sorted(KUBERNETES.glob("*.yaml"))
    assert files
    done = ended(*files)
    assert done.returncode == 0, done.stdout + done.stderr
    planted = tmp_path / "atomic.yaml"
    text = (KUBERNETES / "atomic.yaml").read_text()
    planted.write_text(text.replace("enableServiceLinks", "enableServiceLink"))
    assert ended(planted).returncode != 0


def settings_of(environment: dict[str, str], file: Path) -> config.Config:
    """What an engine makes of a service's environment and file."""
    return config.load({}, environment, file)


def test_the_compose_engine_starts_and_is_published_on_loopback(
    compose: Any, tmp_path: Path
) -> None:
    """With the settings that `atomic setup` writes; nothing but loopback reaches it from outside,
    and it has longer to stop than it takes."""
    engine = compose["services"]["engine"]
    file = tmp_path / "atomic.toml"
    file.write_text('admin_token_file = "admin.token"\nclients_dir = "clients"\n')
    settings = settings_of(engine["environment"], file)
    assert settings.plain_http
    assert engine["ports"] == [f"127.0.0.1:{settings.port}:{settings.port}"]
    assert settings.db.startswith("/var/lib/atomic/")
    grace_ms = int(engine["stop_grace_period"].removesuffix("s")) * 1000
    assert grace_ms > settings.stop_deadline_ms
    published = [name for name, each in compose["services"].items() if "ports" in each]
    assert published == ["engine"]


def test_the_application_never_sees_the_admins_token(compose: Any) -> None:
    """Setup, the engine and the command have the volume that it is in, and nobody else has."""
    services = compose["services"]
    assert services["atomic"]["environment"]["ATOMIC_TOKEN_FILE"] == "/etc/atomic/admin.token"
    sees = {
        name
        for name, each in services.items()
        if any("/etc/atomic" in volume for volume in each["volumes"])
    }
    assert sees == {"setup", "engine", "atomic"}
    for name, each in services.items():
        assert each["image"].startswith("localhost/"), name  # no registry's image of that name
        assert each["read_only"], name
        assert each["cap_drop"] == ["ALL"], name
        writable = [volume for volume in each["volumes"] if not volume.endswith(":ro")]
        assert len(writable) == {"setup": 2, "atomic": 0}.get(name, 1), name


def test_one_pod_has_the_volume(manifests: dict[str, Any]) -> None:
    """One replica, a volume of one pod, a user that is not root, a read-only root, and no variables
    of a Service that is called as the engine's settings are."""
    spec = manifests["StatefulSet"]["spec"]
    assert spec["replicas"] == 1
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    pod = spec["template"]["spec"]
    user = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert user
    safe = pod["securityContext"]
    assert [safe["runAsUser"], safe["runAsGroup"], safe["fsGroup"]] == [int(user[1])] * 3
    assert not pod["enableServiceLinks"]
    (engine,) = pod["containers"]
    assert engine["securityContext"]["readOnlyRootFilesystem"]
    mounts = {each["mountPath"] for each in engine["volumeMounts"]}
    assert re.search(r"^VOLUME (.+)$", DOCKERFILE.read_text(), re.MULTILINE)[1] in mounts  # type: ignore[index]


def test_the_manifests_settings_are_the_engines(manifests: dict[str, Any], tmp_path: Path) -> None:
    """Its file and environment are taken, clients and all; probes ask for routes that there are."""
    pod = manifests["StatefulSet"]["spec"]["template"]["spec"]
    (engine,) = pod["containers"]
    file = tmp_path / "atomic.toml"
    file.write_text(manifests["ConfigMap"]["data"]["atomic.toml"])
    environment = {each["name"]: each["value"] for each in engine["env"]}
    settings = settings_of(environment, file)
    assert (settings.host, settings.plain_http) == ("0.0.0.0", True)
    assert pod["terminationGracePeriodSeconds"] * 1000 > settings.stop_deadline_ms
    probes = {engine[name]["httpGet"]["path"] for name in engine if name.endswith("Probe")}
    assert probes == {"/healthz", "/readyz"}
    assert probes <= {route.path for route in ROUTES}
    secrets = re.findall(r'"(/etc/[\w.-]+)/\w+\.\w+"', file.read_text())
    (tokens,) = [each for each in engine["volumeMounts"] if each["name"] == "tokens"]
    assert set(secrets) == {tokens["mountPath"]}
    share = int(engine["resources"]["limits"]["memory"].removesuffix("Gi")) / SHARE_OF_MEMORY
    assert share * 2**30 >= config.MEMORY_BYTES_MIN


def test_the_image_has_the_versions_that_were_tested() -> None:
    """Each of its packages is pinned as in the lock of the tests, which have more."""
    tested, image = (
        set(re.findall(r"^\S+==\S+", path.read_text(), re.MULTILINE)) for path in LOCKS
    )
    assert image < tested


def test_nothing_unpinned_comes_into_the_image() -> None:
    """Each command of pip takes what it takes by its hash, or from the files that were made here,
    with a backend that is pinned too; and that one is as new as the project asks for."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    commands = re.findall(r"/pip (?:install|wheel) [^&\n]*", text)
    assert len(commands) == 4
    for command in commands:
        is_checked = "--require-hashes" in command and command.rstrip().endswith(".lock")
        is_of_here = "--no-index" in command and "--no-deps" in command
        assert is_checked != is_of_here, command
        assert ("pip wheel" in command) == ("--no-build-isolation" in command)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (asked,) = project["build-system"]["requires"]
    name, floor = asked.split(">=")
    locked = dict(re.findall(r"^(\S+)==(\S+)", BUILD_LOCK.read_text(), re.MULTILINE))
    assert [int(it) for it in locked[name].split(".")] >= [int(it) for it in floor.split(".")]


def test_the_image_is_made_of_what_it_needs() -> None:
    """What is copied into it is let through by its ignore file, and is there."""
    copied = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE.read_text(), re.MULTILINE)
    sources = {source for line in copied for source in line.split()[:-1]}
    ignore = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text()
    assert sources == set(re.findall(r"^!(\S+)$", ignore, re.MULTILINE))
    assert all((ROOT / source).exists() for source in sources)
