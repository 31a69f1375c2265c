"""Each language that has a helper, with its example compiled once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.applications import build

LANGUAGES = [
    "python",
    pytest.param("typescript", marks=pytest.mark.system),
    pytest.param("go", marks=pytest.mark.system),
    pytest.param("php", marks=pytest.mark.system),
]
_built: dict[str, Path] = {}


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    """Each language that has a helper."""
    return str(request.param)


@pytest.fixture
def built(language: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its example, compiled once for all tests."""
    if language not in _built:
        _built[language] = build(language, tmp_path_factory.mktemp("built"))
    return _built[language]
