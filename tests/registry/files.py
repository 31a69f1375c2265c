"""Files that define clients and tokens, as tests write them."""

from __future__ import annotations

from pathlib import Path

from engine.core.access.token import Role
from engine.registry.files import Sources


def secret(number: int) -> str:
    """A token; another for each number."""
    return f"atomic_{number:04d}" + "Zk3vQ8xW1mN5rT7yB2cF4gH6jL9pS0dA" * 2


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    """A file with these rights, whatever the mask of the tests."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def in_settings(root: Path, text: str) -> Sources:
    """A settings file that says this."""
    return Sources(write(root / "atomic.toml", text))


def in_directory(root: Path, **clients: str) -> Sources:
    """A directory of clients that say this."""
    (root / "clients").mkdir(exist_ok=True)
    for name, text in clients.items():
        write(root / "clients" / f"{name}.toml", text)
    return Sources(clients_dir=root / "clients")


def tokens_of(root: Path, *lines: str, role: Role = Role.ADMIN) -> Sources:
    """A file of tokens for every client."""
    return Sources(token_files=((role, write(root / "admin.token", "\n".join(lines) + "\n")),))
