# Recipes of the project; CI calls these and nothing else. `just` alone checks and tests everything.

python := env("PYTHON", "python")

# format check, lint, types, layers, tests
default: check test

# everything but the tests that run the code
check:
    {{python}} -m ruff format --check .
    {{python}} -m ruff check .
    {{python}} -m mypy
    {{python}} -m mypy --platform darwin --cache-dir .mypy_cache/darwin engine tui demo_app
    {{python}} -m pytest -q tests/test_layers.py tests/test_tidy.py

# the tests, on all cores; options go on to pytest: `just test -k retry`
test *args:
    {{python}} -m pytest -q -n auto {{args}}

# the tests that are neither `slow` nor `system`; CI runs most of them on a second Python
fast *args:
    {{python}} -m pytest -q -n auto -m 'not slow and not system' {{args}}

# all tests, and which 40 took longest: more than a second is marked `slow`
slow *args:
    {{python}} -m pytest -q -n auto --durations 40 {{args}}

# mend what can be mended by itself
fmt:
    {{python}} -m ruff check --fix .
    {{python}} -m ruff format .

# make the blocking client anew from the asynchronous one
blocking:
    {{python}} .ci/make_blocking.py

# the engine on loopback
serve *args:
    {{python}} -m engine.cli serve {{args}}

# engine, demo application and mail server with a steady mix of work
demo *args:
    {{python}} -m engine.cli demo {{args}}

# deterministic simulation: `just sim 200`, or one seed again: `just sim 1 --seed 42`
sim seeds="200" *args:
    {{python}} -m tests.simulation --seeds {{seeds}} {{args}}

# kill -9 the engine this many times under load (and the application ten times)
kill kills="30" *args:
    {{python}} -m tests.kill --kills {{kills}} --app-kills 10 {{args}}

# plant each bug of the catalog and look for it: `just mutants`, or some: `just mutants NAME`
mutants *args:
    {{python}} -m tests.mutants {{args}}

# strangers' bytes for every parser, other ones each time, until the time is over: `just fuzz --minutes 30`
fuzz *args:
    {{python}} -m tests.fuzz {{args}}

# ask a real engine what its description says it takes, and more: `just schemathesis --seed 7 --examples 200`
schemathesis *args:
    {{python}} -m tests.openapi {{args}}

# measure against the peers and write docs/performance.md: `just bench`, `just bench --short`,
# `just bench --only recovery`
bench *args:
    {{python}} bench/bench.py {{args}}

# what an engine takes of a machine: `just sizing --gb 10 --directory /mnt/disk`; writes docs/how-to/sizing.md
sizing *args:
    {{python}} bench/sizing.py {{args}}

# draw the pictures of the dashboard anew, from the recording of a shop
pictures:
    {{python}} -m docs.pictures.make

# draw the pictures of the pages below `/ui` anew, of a demonstration; needs Chromium
page-pictures:
    {{python}} -m docs.pictures.pages

# write what the documentation has from the code: errors.md, the settings, the states in design.md
pages:
    {{python}} -m tests.reference_pages

# what the dashboard costs: bytes, first paint, keys, many events, a million runs
tui-budget:
    {{python}} bench/tui_budget.py

# the image without a container engine: its steps in a root of debootstrap's, and a life in it (root)
container *args:
    {{python}} .ci/container.py {{args}}

# ask an advisory service of every pinned version; fails if one was not asked about (pip install pip-audit)
audit:
    {{python}} .ci/supply.py audit

# what the image installs, as CycloneDX, in dist/sbom.json (pip install cyclonedx-bom)
sbom:
    {{python}} .ci/supply.py sbom

# pin the dependencies anew, with hashes and without addresses: ours, the image's, what builds it
lock:
    {{python}} -m piptools compile --quiet --generate-hashes --allow-unsafe --strip-extras \
        --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header --no-annotate \
        --extra dev --extra checks --output-file requirements.lock pyproject.toml
    {{python}} -m piptools compile --quiet --generate-hashes --allow-unsafe --strip-extras \
        --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header --no-annotate \
        --extra otel --extra postgres --constraint requirements.lock --output-file deploy/requirements.lock pyproject.toml
    {{python}} -m piptools compile --quiet --generate-hashes --allow-unsafe --strip-extras \
        --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header --no-annotate \
        --build-deps-for wheel --only-build-deps --output-file deploy/build.lock pyproject.toml
