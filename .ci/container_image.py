"""What `just container` makes its image of: the Dockerfile's steps in debootstrap's root."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[1]
DOCKERFILE = TOP / "deploy" / "Dockerfile"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NO_NETWORK = "--no-index --find-links /wheels"


def say(text: str) -> None:
    sys.stdout.write(f"container: {text}\n")
    sys.stdout.flush()


def run(*words: str | Path) -> str:
    """A command's output; ends when it fails."""
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"container: {shlex.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Word and rest of each, without comments, in one line."""
    lines = (
        line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")
    )
    text = "\n".join(lines).replace("\\\n", " ")
    pairs = (line.partition(" ") for line in text.splitlines() if line.strip())
    return [(word.upper(), rest.strip()) for word, _, rest in pairs]


class Stage:
    """A root directory, and what the Dockerfile says of whoever runs in it."""

    def __init__(self, root: Path, base: Path, wheels: Path) -> None:
        self.root, self._wheels = root, wheels
        self.arguments: dict[str, str] = {}
        self.environment = {"PATH": PATH}
        self.user, self.directory = "0:0", "/"
        self.entrypoint: list[str] = []
        self.command: list[str] = []
        shutil.rmtree(root, ignore_errors=True)
        run("cp", "-a", "--reflink=auto", base, root)

    def do(self, word: str, rest: str, stages: dict[str, Stage]) -> None:
        """One instruction."""
        if word == "ARG":
            name, _, default = rest.partition("=")
            self.arguments[name] = NO_NETWORK if name == "PIP_OPTIONS" else default.strip('"')
        elif word == "ENV":
            self.environment |= dict(each.split("=", 1) for each in shlex.split(rest))
        elif word == "RUN":
            say(f"RUN {' '.join(rest.split())[:70]}…")
            self._run(rest)
        elif word == "COPY":
            self._copy(shlex.split(rest), stages)
        elif word == "USER":
            self.user = rest
        elif word == "WORKDIR":
            self.directory = rest
        elif word == "ENTRYPOINT":
            self.entrypoint = json.loads(rest)
        elif word == "CMD":
            self.command = json.loads(rest)
        elif word not in ("VOLUME", "EXPOSE", "STOPSIGNAL"):
            raise SystemExit(f"container: {word} is not known here")

    def _run(self, script: str) -> None:
        """As root, with the machine's network and apt's settings; wheels instead of a registry."""
        root, wheels = self.root, self.root / "wheels"
        wheels.mkdir(exist_ok=True)
        (root / "etc/resolv.conf").touch()
        mounts = [
            f"mount --bind {self._wheels} {wheels}",
            f"mount --bind /etc/resolv.conf {root}/etc/resolv.conf",
            f"mount --bind /etc/apt/apt.conf.d {root}/etc/apt/apt.conf.d",
            f"mount -t proc proc {root}/proc",
        ]
        values = {**self.arguments, **self.environment, "DEBIAN_FRONTEND": "noninteractive"}
        inner = ["env", "-i", *(f"{name}={value}" for name, value in values.items())]
        inner = ["chroot", str(root), *inner, "/bin/sh", "-c", script]
        run("unshare", "--mount", "sh", "-ec", "\n".join([*mounts, f"exec {shlex.join(inner)}"]))
        wheels.rmdir()

    def _copy(self, words: list[str], stages: dict[str, Stage]) -> None:
        *sources, target = words
        top = TOP
        if sources[0].startswith("--from="):
            top = stages[sources.pop(0).removeprefix("--from=")].root
        into = self.root / target.lstrip("/")
        into.mkdir(parents=True, exist_ok=True)
        for source in (top / each.lstrip("/") for each in sources):
            what = (
                f"{source}/." if source.is_dir() else source
            )  # as Docker: of a directory all in it
            run("cp", "-a", "--no-preserve=ownership", what, into)


def base_root(directory: Path, suite: str) -> Path:
    """Debootstrap's smallest; made once."""
    base = directory / f"base-{suite}"
    if not base.exists():
        say(f"debootstrap of {suite}, once: minutes")
        draft = directory / f"base-{suite}.draft"
        shutil.rmtree(draft, ignore_errors=True)
        run("debootstrap", "--variant=minbase", suite, draft)
        draft.rename(base)
    return base


def wheels_for(base: Path, directory: Path, python: str) -> Path:
    """What the lock names, and what builds the project, for the image's Python."""
    wheels = directory / "wheels"
    wheels.mkdir(exist_ok=True)
    say(f"wheels, by {python}")
    pip = (python, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "-d", wheels)
    for lock in ("requirements.lock", "build.lock"):
        run(*pip, "--require-hashes", "-r", TOP / "deploy" / lock)
    return wheels


def build(directory: Path, python: str) -> Stage:
    """The image: the last stage."""
    stages: dict[str, Stage] = {}
    wheels: Path | None = None
    stage: Stage | None = None
    for word, rest in instructions(DOCKERFILE):
        if word != "FROM":
            assert stage is not None, "an instruction before the first FROM"
            stage.do(word, rest, stages)
            continue
        image, _, name = rest.partition(" AS ")
        found = re.fullmatch(r"debian:(\w+)-slim", image)
        assert found, f"{image} is no root of debootstrap's"
        base = base_root(directory, found[1])
        wheels = wheels or wheels_for(base, directory, python)
        say(f"FROM {rest}")
        stage = stages[name or "image"] = Stage(directory / f"root-{name or 'image'}", base, wheels)
    assert stage is not None
    return stage
