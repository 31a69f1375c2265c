"""The image without a container engine: the Dockerfile's steps in debootstrap's root, and its life.

`just container`, as root, on Linux with debootstrap: each instruction of `deploy/Dockerfile` is
done in a root directory. Then the services of `compose.yaml` are run on it as they stand there:
each as the image's user, without any capability, as process 1 of a PID, mount and network namespace
of its own, on a read-only root with its volumes and a /tmp; a bridge joins them, hosts have names.
At last the pod of `deploy/kubernetes`, with its Secret as a kubelet has it in a volume.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import yaml
from container_image import TOP, Stage, build, run, say

COMPOSE = TOP / "compose.yaml"
KUBERNETES = TOP / "deploy" / "kubernetes"
START_S_MAX = 120
MEMORY_LIMIT = 512 << 20
NETWORK = "10.77.0."


def check(holds: object, text: str) -> None:
    """Say what holds, or end."""
    if not holds:
        raise SystemExit(f"container: NOT SO: {text}")
    say(f"ok: {text}")


def eventually(what: Callable[[], object], text: str) -> None:
    """Wait until something holds."""
    start = time.monotonic()
    while not what():
        if time.monotonic() - start > START_S_MAX:
            raise SystemExit(f"container: NOT SO within {START_S_MAX} s: {text}")
        time.sleep(0.2)
    say(f"ok: {text} ({time.monotonic() - start:.1f} s)")


# -- what runs in it ------------------------------------------------------------------------------


class Host:
    """A machine with a bridge, volumes, and the services of the compose file."""

    def __init__(self, image: Stage, directory: Path) -> None:
        self.image = image
        self.directory = Path(tempfile.mkdtemp(prefix="life-", dir=directory))
        self.services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
        self.services["pod"] = pod_of(manifest("StatefulSet"))
        self.addresses = {name: f"{NETWORK}{n}" for n, name in enumerate(self.services, 2)}
        self._prefix = f"atomic{os.getpid()}"
        self.running: list[Container] = []
        lines = [f"{address} {name}" for name, address in self.addresses.items()]
        self.hosts = self.directory / "hosts"
        self.hosts.write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        (image.root / "etc/hosts").touch()
        self.group = self._memory_group()

    def __enter__(self) -> Self:
        bridge = self.namespace("")
        run("ip", "netns", "add", bridge)
        self._inside(bridge, "link add br0 type bridge", f"addr add {NETWORK}1/24 dev br0",
                     "link set br0 up", "link set lo up")  # fmt: skip
        for number, (name, address) in enumerate(self.addresses.items()):
            here = self.namespace(name)
            run("ip", "netns", "add", here)
            self._inside(bridge, f"link add v{number} type veth peer name eth0 netns {here}",
                         f"link set v{number} master br0", f"link set v{number} up")  # fmt: skip
            self._inside(
                here, f"addr add {address}/24 dev eth0", "link set eth0 up", "link set lo up"
            )
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.running:
            each.kill()
        for name in ("", *self.addresses):
            subprocess.run(["ip", "netns", "del", self.namespace(name)], check=False)
        if self.group is not None:
            eventually(lambda: not (self.group / "cgroup.procs").read_text(), "all have ended")
            self.group.rmdir()

    def namespace(self, service: str) -> str:
        """The network of a service; of "" the machine's own, to which ports are published."""
        return f"{self._prefix}-{service}"

    def _inside(self, namespace: str, *commands: str) -> None:
        for each in commands:
            run("ip", "-n", namespace, *each.split())

    def _memory_group(self) -> Path | None:
        """A control group of MEMORY_LIMIT bytes; None where none can be made."""
        top = Path("/sys/fs/cgroup")
        for place, limit in ((top, "memory.max"), (top / "memory", "memory.limit_in_bytes")):
            if not (place / "cgroup.procs").exists():
                continue
            group = place / self._prefix
            try:
                group.mkdir()
                (group / limit).write_text(str(MEMORY_LIMIT))
            except OSError as error:
                say(f"{group}: {error.strerror}")
                continue
            return group
        return None

    def volume(self, name: str, target: str) -> Path:
        """A named volume: when it is new it is as the image has the directory, owner and all."""
        place = self.directory / "volumes" / name
        if not place.exists():
            place.parent.mkdir(exist_ok=True)
            run("cp", "-a", self.image.root / target.lstrip("/"), place)
        return place

    def ask(self, url: str) -> int:
        """The status of an answer, asked from the machine; 0: nobody answers."""
        code = (
            "import sys, urllib.request as u, urllib.error as e\n"
            "try: print(u.urlopen(sys.argv[1], timeout=5).status)\n"
            "except e.HTTPError as error: print(error.code)\n"
            "except OSError: print(0)"
        )
        words = ("ip", "netns", "exec", self.namespace(""), sys.executable, "-c", code, url)
        return int(run(*words))


class Container:
    """A service that runs, or a command in its place."""

    def __init__(self, host: Host, service: str, *command: str, **changed: str) -> None:
        spec, image = host.services[service], host.image
        self.log = host.directory / f"{service}-{len(host.running)}.log"
        self._root = host.directory / f"{service}-{len(host.running)}"
        self._root.mkdir()
        entrypoint = spec.get("entrypoint", image.entrypoint)
        words = [*entrypoint, *(command or spec.get("command", image.command))]
        if command and command[0].startswith("/"):
            words = [*command]
        values = {**image.environment, "HOME": "/var/lib/atomic", "TERM": "dumb"}
        values |= spec.get("environment", {}) | changed
        user, _, group = image.user.partition(":")
        inner = [
            *("chroot", str(self._root), "setpriv", "--reuid", user, "--regid", group),
            *("--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"),
            *("env", "-i", f"--chdir={image.directory}"),
            *(f"{name}={value}" for name, value in values.items()),
            *words,
        ]
        assert spec["read_only"]
        assert spec["tmpfs"] == ["/tmp"]
        assert spec["cap_drop"] == ["ALL"]
        script = "\n".join([*self._mounts(host, spec), f"exec {shlex.join(inner)}"])
        alone = ["unshare", "--fork", "--pid", "--mount", "sh", "-ec", script]
        start = f"exec nsenter --net=/run/netns/{host.namespace(service)} {shlex.join(alone)}"
        if host.group is not None:
            start = f"echo $$ > {host.group}/cgroup.procs\n{start}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["sh", "-ec", start], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        host.running.append(self)

    def _mounts(self, host: Host, spec: Any) -> list[str]:
        root = self._root
        lines = [
            f"mount --bind {host.image.root} {root}",
            f"mount -o remount,bind,ro {root}",
            f"mount -t proc proc {root}/proc",
            f"mount -t sysfs -o ro sysfs {root}/sys",
            f"mount --rbind /sys/fs/cgroup {root}/sys/fs/cgroup",
            f"mount -t tmpfs -o mode=1777 tmpfs {root}/tmp",
            f"mount -t tmpfs -o mode=0755 tmpfs {root}/dev",
            f"mount --bind {host.hosts} {root}/etc/hosts",
        ]
        for device in ("null", "zero", "random", "urandom"):
            lines += [
                f"touch {root}/dev/{device}",
                f"mount --bind /dev/{device} {root}/dev/{device}",
            ]
        for each in spec.get("volumes", ()):
            name, target, *how = each.split(":")
            lines.append(f"mount --bind {host.volume(name, target)} {root}{target}")
            if how == ["ro"]:
                lines.append(f"mount -o remount,bind,ro {root}{target}")
        return lines

    @property
    def text(self) -> str:
        """What it has written."""
        return self.log.read_text()

    def wait(self, timeout_s: float = START_S_MAX) -> int:
        """Its exit code, minus the signal if one ended it."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise SystemExit(f"container: NOT ENDED within {timeout_s} s: {self.text}") from None

    @property
    def first(self) -> int:
        """Process 1, by the machine's number."""
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def status(self) -> dict[str, str]:
        """What the kernel says of process 1."""
        lines = Path(f"/proc/{self.first}/status").read_text().splitlines()
        return dict(line.split(":\t", 1) for line in lines if ":\t" in line)

    def signal(self, number: signal.Signals) -> None:
        """To process 1."""
        os.kill(self.first, number)

    def kill(self) -> None:
        """At once, if it still runs."""
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.process.wait()


def manifest(kind: str) -> Any:
    """The one of this kind."""
    texts = (path.read_text() for path in KUBERNETES.glob("*.yaml"))
    found = [each for text in texts for each in yaml.safe_load_all(text)]
    return next(each for each in found if each["kind"] == kind)


def pod_of(stateful_set: Any) -> Any:
    """A StatefulSet's pod, as a service of a compose file."""
    (engine,) = stateful_set["spec"]["template"]["spec"]["containers"]
    safe = engine["securityContext"]
    mounts = {each["name"]: each for each in engine["volumeMounts"]}
    assert mounts.pop("tmp")["mountPath"] == "/tmp"
    return {
        "read_only": safe["readOnlyRootFilesystem"],
        "tmpfs": ["/tmp"],
        "cap_drop": safe["capabilities"]["drop"],
        "command": engine["args"],
        "environment": {each["name"]: each["value"] for each in engine["env"]},
        "volumes": [
            f"pod-{name}:{each['mountPath']}{':ro' if each.get('readOnly') else ''}"
            for name, each in mounts.items()
        ],
    }


# -- a life ---------------------------------------------------------------------------------------


def once(host: Host, service: str, *command: str, code: int = 0, **changed: str) -> str:
    """A command that ends: `docker compose run --rm SERVICE COMMAND`."""
    container = Container(host, service, *command, **changed)
    ended = container.wait()
    if ended != code:
        raise SystemExit(f"container: {service} {shlex.join(command)}: {ended}\n{container.text}")
    return container.text


def started(host: Host, service: str, sign: str, **changed: str) -> Container:
    """A service that has said that it is up."""
    container = Container(host, service, **changed)

    def up() -> bool:
        if container.process.poll() is not None:
            raise SystemExit(f"container: {service} ended: {container.text}")
        return sign in container.text

    eventually(up, f"{service} says {sign!r}")
    return container


def check_engine(host: Host, engine: Container) -> None:
    """What it runs as, what it may write, who reaches it, and how much memory it takes."""
    status = engine.status()
    check(status["NSpid"].split()[-1] == "1", "the engine is process 1")
    check(status["Uid"].split() == ["10001"] * 4, "it runs as user 10001")
    check(int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0, "it has no capability")
    once(host, "engine", "/bin/sh", "-c",
         "! touch /x /opt/atomic/x /etc/x /etc/atomic/x /keys/x 2>/dev/null && touch /tmp/x"
         " /var/lib/atomic/x && rm /var/lib/atomic/x")  # fmt: skip
    check(True, "its root, settings and keys are read-only; its volume and /tmp are not")
    test = host.services["engine"]["healthcheck"]["test"][1:]
    once(host, "engine", "/usr/bin/env", *test)
    url = f"http://{host.addresses['engine']}:8420"
    check(host.ask(f"{url}/readyz") == 200, "the health check and /readyz by address answer 200")
    check(host.ask(f"{url}/api/v1/runs") == 401, "whoever has no token is answered 401")
    if host.group is None:
        say("not tried: no control group can be made here, so no limit of memory")
        return
    limits = json.loads(once(host, "atomic", "status", "--json"))["limits"]
    check(
        limits["memoryBytesMax"] == MEMORY_LIMIT // 4,
        "memory_bytes_max is a quarter of the group's",
    )


def check_work(host: Host) -> str:
    """The application posts and is called, signed; returns the key of a run."""
    demo = f"http://{host.addresses['demo']}:9000"
    check(host.ask(f"{demo}/healthz") == 200, "the application is there")
    seen = once(host, "demo", "/bin/sh", "-c", "ls /etc/atomic /keys")
    check("admin" not in seen and "demo.token" in seen, "it has its own token, and not the admin's")
    as_demo = {"ATOMIC_TOKEN_FILE": "/keys/demo.token", "ATOMIC_CLIENT": "demo"}
    host.services["atomic"]["volumes"].append("demo-keys:/keys:ro")
    posted = once(
        host, "atomic", "submit", "http://demo:9000/workflows/userCreation/index", "--workflow",
        "createUser", "--key", "one", "--data", '{"userName": "Ada", "email": "ada@example.org"}',
        **as_demo,
    )  # fmt: skip
    check("completed" in posted, "a workflow that the command posted with the client's token ended")
    call = (
        "import urllib.request as u, urllib.error as e\n"
        "try: u.urlopen(u.Request('http://demo:9000/workflows/userCreation/index', b'{}'))\n"
        "except e.HTTPError as error: print(error.code)"
    )
    unsigned = once(host, "atomic", "/usr/bin/env", "python3", "-c", call)
    check(unsigned.strip() == "401", "the application refuses a call that is not signed")
    beyond = once(host, "atomic", "submit", "http://elsewhere:9000/x", "--workflow", "w", "--key",
                  "two", code=4, **as_demo)  # fmt: skip
    check("target" in beyond, "the engine refuses a target that is not the client's")
    host.services["atomic"]["volumes"][-1] = "billing-keys:/keys"
    added = once(host, "atomic", "client", "add", "billing", "--target", "http://billing:9000/",
                 "--to", "/keys/billing.token")  # fmt: skip
    token = host.volume("billing-keys", "/keys") / "billing.token"
    check(
        "atomic_" not in added and token.stat().st_mode & 0o777 == 0o600,
        "client add puts its token into the application's volume, for one user, and shows none",
    )
    listed = once(host, "atomic", "client", "ls")
    check("billing" in listed and "demo" in listed, "both clients are known, of file and command")
    return "one"


def there(host: Host, key: str) -> bool:
    """Whether the engine has the run."""
    return f" {key} " in once(host, "atomic", "runs", "--status", "completed")


def check_pod(host: Host) -> None:
    """Files of a Secret and a ConfigMap: links, root's, and readable by the pod's group."""
    volumes = host.directory / "volumes"
    secrets = [volumes / "config" / "admin.token", *(volumes / "demo-keys").iterdir()]
    texts = {each.name.replace("demo", "shop"): each.read_text() for each in secrets}
    for name, target, mode, files in (
        ("settings", "etc/atomic", 0o644, manifest("ConfigMap")["data"]),
        ("tokens", "etc/atomic-tokens", 0o440, texts),
    ):
        (host.image.root / target).mkdir(exist_ok=True)  # a container engine makes mount points
        data = volumes / f"pod-{name}" / "..data"
        data.mkdir(parents=True)
        for file, text in files.items():
            (data / file).write_text(text)
            (data / file).chmod(mode)
            os.chown(data / file, 0, int(host.image.user.partition(":")[2]))
            (data.parent / file).symlink_to(f"..data/{file}")
    pod = started(host, "pod", '"listening"', ATOMIC_PORT="tcp://10.96.0.1:8420")
    check(
        "service-links-ignored" in pod.text, "the pod ignores ATOMIC_PORT of a Service, and says so"
    )
    url = f"http://{host.addresses['pod']}:8420"
    check(host.ask(f"{url}/readyz") == 200, "its probe by address answers 200")
    check(
        host.ask(f"{url}/api/v1/runs") == 401,
        "it has taken the Secret's files: tokens are asked for",
    )
    pod.signal(signal.SIGTERM)
    check(pod.wait() == 0, "it ends with 0")


def live(host: Host) -> None:
    """From the first setup to an engine that was killed and started again."""
    once(host, "setup")
    again = once(host, "setup")
    check("wrote" not in again and again.count("kept") == 5, "setup writes once, and keeps")
    engine = started(host, "engine", '"listening"')
    check_engine(host, engine)
    demo = started(host, "demo", "listening on")
    key = check_work(host)
    grace_s = int(host.services["engine"]["stop_grace_period"].removesuffix("s"))
    start = time.monotonic()
    engine.signal(signal.SIGTERM)
    check(engine.wait(grace_s) == 0, f"SIGTERM ends it with 0 ({time.monotonic() - start:.1f} s)")
    engine = started(host, "engine", '"listening"')
    check(there(host, key), "started again it has the run")
    engine.signal(signal.SIGKILL)
    engine.wait()
    engine = started(host, "engine", '"listening"')
    check(there(host, key), "killed and started again it has the run")
    demo.signal(signal.SIGTERM)
    check(demo.wait() == 0, "the application ends with 0")
    engine.signal(signal.SIGTERM)
    check(engine.wait(grace_s) == 0, "and so does the engine")
    check_pod(host)
    secrets = [file.read_text().strip() for file in (host.directory / "volumes").rglob("*.token")]
    logs = "".join(each.text for each in host.running)
    check(secrets and not any(each in logs for each in secrets), "no token is in any log")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--roots",
        type=Path,
        default=Path(tempfile.gettempdir()) / "atomic-roots",
        help="where roots and wheels are kept; default: below the temporary directory",
    )
    parser.add_argument(
        "--python", default="python3.13", help="pip of the image's Python, for wheels"
    )
    arguments = parser.parse_args()
    if os.geteuid() or not sys.platform.startswith("linux"):
        raise SystemExit("container: namespaces and roots need Linux and root")
    arguments.roots.mkdir(parents=True, exist_ok=True)
    image = build(arguments.roots.resolve(), arguments.python)
    with Host(image, arguments.roots.resolve()) as host:
        say(f"logs and volumes: {host.directory}")
        live(host)
    shutil.rmtree(host.directory)  # what has failed stays, to be looked at
    say("all of it holds")


if __name__ == "__main__":
    main()
