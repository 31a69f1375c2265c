"""`atomic verify`: a file that no engine has open is read from end to end, and changed nowhere.

It is a reader's own connection. A file without a log is opened as one that nobody writes to, so
that nothing is made beside it, also on a disk that can only be read; an engine that was started
meanwhile is noticed at the end.
"""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from engine.ports.report import FAULTS_MAX, RESTORE, Progress, Report, TooManyFaults
from engine.ports.store import StoreError
from engine.store.journal import unpack
from engine.store.sqlite.content import (
    MIGRATIONS,
    check_version,
    is_ours,
    misnamed_versions,
    strange_in,
)
from engine.store.sqlite.file.owner import check_unowned, the_file
from engine.store.sqlite.verify.carried import check_carried
from engine.store.sqlite.verify.fold import FoldCheck
from engine.store.sqlite.verify.journal import JournalCheck, begins_at, read_entries
from engine.store.sqlite.verify.rows import KEYS
from engine.store.tables.connection import SQL
from engine.store.tables.cut import carried_of
from engine.store.tables.registry import read_registered

STOP_OR_COPY = "Stop it, or check a copy: `atomic backup FILE`, then `atomic verify FILE`."
LOG_MAGICS = (0x377F0682, 0x377F0683)
"""What a write-ahead log begins with (sqlite.org/walformat.html)."""
STEPS_OF_SQLITE = 2_000_000
"""Of SQLite's machine between two looks at the terminal: tenths of a second."""
ORPHANS_TOLD = 5
CACHE_KIB = 65_536
COLLECT_EVERY = 1_000_000
"""Objects: far more than live at once."""
MAGIC, HEADER_BYTES = b"SQLite format 3\0", 100
FOREIGN = "It is another program's file, or its beginning is damaged"
IF_OURS = f"If it was Atomic's: {RESTORE}"


def verify(path: Path, progress: Progress = lambda name, done, of: None) -> Report:
    """Look at all of a file. Raises StoreError where it cannot be looked at: an engine has it open,
    there is none, this user may not read it, a newer Atomic wrote it."""
    named, path = path, the_file(path)
    _check_readable(path)
    report = Report(str(named), bytes=path.stat().st_size)
    before = _stamp(path)
    try:
        with _little_collecting():
            _look(path, report, progress)
    except TooManyFaults:
        report.looked("the rest", f"not looked at, as there are {FAULTS_MAX} faults", done=False)
    if report.faults and _stamp(path) != before:
        raise StoreError(f"{path} was changed while it was looked at. Let nothing write to it, and"
                         " try again.")  # fmt: skip
    check_unowned(path, STOP_OR_COPY)
    return report


@contextmanager
def _little_collecting() -> Iterator[None]:
    """Runs, events and rows refer to nothing that refers to them: looking through them for circles
    was a fifth of the whole."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECT_EVERY)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _check_readable(path: Path) -> None:
    check_unowned(path, STOP_OR_COPY)
    try:
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        raise StoreError(f"{path} does not exist.") from error
    except IsADirectoryError as error:
        raise StoreError(f"{path} is a directory; name the file of the database.") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.") from error


def _stamp(path: Path) -> tuple[tuple[int, int] | None, ...]:
    found: list[tuple[int, int] | None] = []
    for name in (path, _log_of(path)):
        try:
            it = name.stat()
            found.append((it.st_size, it.st_mtime_ns))
        except OSError:
            found.append(None)
    return tuple(found)


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _look(path: Path, report: Report, progress: Progress) -> None:
    if not _is_database(path, report):
        return
    has_log = _check_log(path, report)
    mode = "mode=ro" if has_log else "mode=ro&immutable=1"
    connecting = sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, isolation_level=None)
    with closing(connecting) as db:
        db.row_factory = sqlite3.Row
        with _as_fault(report, "file"):
            for pragma in ("query_only=1", "trusted_schema=OFF", "cell_size_check=ON",
                           f"cache_size=-{CACHE_KIB}"):  # fmt: skip
                db.execute(f"PRAGMA {pragma}").fetchall()
            db.execute("BEGIN")  # all of one moment
            if _check_ours(db, path, report):
                if not has_log:
                    _check_length(db, report)
                _look_at_all(db, report, progress)


def _is_database(path: Path, report: Report) -> bool:
    """By its first bytes: SQLite takes some that are none for new ones."""
    with path.open("rb") as file:
        begin = file.read(HEADER_BYTES)
    if not begin:
        report.found("file", "it is empty: nothing is recorded in it")
    elif not begin.startswith(MAGIC):
        report.found("file", f"it is no SQLite database. {FOREIGN}", IF_OURS)
    elif len(begin) < HEADER_BYTES:
        report.found("file", "it is cut short: it has not even a whole header")
    else:
        return True
    return False


def _check_log(path: Path, report: Report) -> bool:
    """Whether there is a log with something in it."""
    try:
        with _log_of(path).open("rb") as file:
            begin = file.read(4)
    except OSError:
        return False
    if begin and int.from_bytes(begin, "big") not in LOG_MAGICS:
        report.found(
            "log",
            f"{_log_of(path).name} is no write-ahead log: what was recorded last may be lost",
        )
        return False
    return bool(begin)


@contextmanager
def _as_fault(report: Report, place: str) -> Iterator[None]:
    """What SQLite says of a damaged file, and whatever its content leads to, is a fault of it."""
    try:
        yield
    except (TooManyFaults, StoreError):
        raise
    except sqlite3.Error as error:
        report.found(place, f"it cannot be read: {error}")
    except Exception as error:  # noqa: BLE001 - a damaged file may hold anything
        report.found(place, f"it cannot be read: {type(error).__name__}: {error}")


def _check_ours(db: sqlite3.Connection, path: Path, report: Report) -> bool:
    if not is_ours(db):
        report.found("file", f"it is a database, and not Atomic's. {FOREIGN}", IF_OURS)
        return False
    if misnamed := misnamed_versions(db):
        report.found(f"table {MIGRATIONS}", f"{misnamed[0]!r} is no version of a schema")
        return False
    check_version(db, path)
    query = f"SELECT max(name) FROM {MIGRATIONS} WHERE migration_set = 'atomic'"
    report.schema = str(db.execute(query).fetchone()[0])
    return True


def _check_length(db: sqlite3.Connection, report: Report) -> None:
    """As its header says: SQLite takes what is cut off a last page for zeros."""
    with _as_fault(report, "file"):
        size, pages = (db.execute(f"PRAGMA {name}").fetchone()[0]
                       for name in ("page_size", "page_count"))  # fmt: skip
        if report.bytes != size * pages:
            report.found(
                "file", f"it is {report.bytes:,} bytes long, and should be {size * pages:,}"
            )


def _look_at_all(db: sqlite3.Connection, report: Report, progress: Progress) -> None:
    _check_pages(db, report, progress)
    with _as_fault(report, "schema"):
        _check_shape(db, report)
    with _as_fault(report, "table engine"):
        _check_engine(db, report)
    before = len(report.faults)
    journal, fold = JournalCheck(db, report, progress), None
    with _as_fault(report, "table journal"):
        fold = FoldCheck(db, report)
        if journal.begin > 1:
            before += check_carried(db, journal.begin - 1, fold, report, progress)
        for entry in journal.walk():
            fold.fold(entry)
    words = f"{journal.entries:,} entries, {journal.events:,} events from {journal.begin}"
    if journal.is_whole and journal.ended:
        report.looked("journal", f"{words} without a gap")
    else:
        report.looked("journal", f"{words} up to its first fault", done=False)
    if fold is None or not (journal.is_whole and journal.ended):
        report.looked("rows", "not compared, as the journal is not whole", done=False)
    else:
        with _as_fault(report, "rows"):
            _finish_rows(db, journal, fold, report, progress, before)
    with _as_fault(report, "table tally"):
        _check_tally(db, report)


def _check_pages(db: sqlite3.Connection, report: Report, progress: Progress) -> None:
    pages, before = 0, len(report.faults)
    with _as_fault(report, "pages"):
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        told: Callable[[], None] = lambda: progress("pages", 0, 0)  # noqa: E731
        db.set_progress_handler(told, STEPS_OF_SQLITE)
        progress("pages", 0, 0)
        found = [str(row[0]) for row in db.execute(f"PRAGMA integrity_check({FAULTS_MAX // 2})")]
        for text in found:
            if text != "ok":
                report.found("pages", text)
    db.set_progress_handler(None, 0)
    faults = len(report.faults) - before
    report.looked("pages", f"{_counted(pages, 'page')} by SQLite's integrity_check", faults=faults)


def _check_shape(db: sqlite3.Connection, report: Report) -> None:
    """All that the file's migrations make, and nothing beside."""
    count, strange = strange_in(db)
    for place, what in strange:
        report.found(place, what)
    if not strange:
        report.looked("schema", f"{count} tables, indexes and triggers, and nothing beside")


def _check_engine(db: sqlite3.Connection, report: Report) -> None:
    """One row that names the file, and what people set."""
    found = db.execute("SELECT file_id, caught_up FROM engine").fetchall()
    if len(found) != 1:
        report.found("table engine", f"it has {len(found)} rows, and should have 1")
    else:
        report.file_id = str(found[0]["file_id"])
    tables = {str(row[0]) for row in db.execute("SELECT name FROM sqlite_schema")}
    if "registry" in tables:
        for entry in read_registered(db):
            try:
                msgspec.json.decode(entry.value or b"")
            except msgspec.DecodeError as error:
                report.found(f"registry, {entry.kind} {entry.name}", f"it is no JSON: {error}")


def _finish_rows(
    db: sqlite3.Connection,
    journal: JournalCheck,
    fold: FoldCheck,
    report: Report,
    progress: Progress,
    before: int,
) -> None:
    """`before`: so many faults were known when the rows were begun with."""
    fold.end_walk()
    while fold.again_from is not None:
        for entry in read_entries(db, fold.begin_walk()):
            progress("events once more", entry.seq, journal.next)
            fold.fold(entry)
        fold.end_walk()
    if fold.folded != journal.events:
        lost = journal.events - fold.folded
        report.found("journal", f"{lost} events are of runs that no event begins")
    if fold.caught_up > journal.next - 1:
        report.found(
            "table engine",
            f"the rows are said to know event {fold.caught_up}, the last is {journal.next - 1}",
        )
    has = fold.comparison.compared
    for table in has:
        count = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        if count != has[table]:
            _tell_orphans(db, table, count - has[table], report)
    counts = ", ".join(_counted(count, it) for it, count in has.items() if it != "body")
    stopped = _counted(fold.stopped, "run")
    without = f", but for {stopped} that a bug stopped" if fold.stopped else ""
    without += f"; {_counted(fold.gone, 'run')} gone by retention" if fold.gone else ""
    behind = journal.next - 1 - fold.caught_up
    later = f"; a start folds {_counted(behind, 'event')} more" if behind > 0 else ""
    what = f"{counts} held against their events{without}{later}"
    report.looked("rows", what, faults=len(report.faults) - before)


def _tell_orphans(db: sqlite3.Connection, table: str, more: int, report: Report) -> None:
    """Rows of runs that the journal does not know."""
    if table == "run":
        names = []
        for run_id, seq in db.execute("SELECT id, seq FROM run"):
            if not _is_event_of(db, seq, run_id):
                names.append(run_id)
            if len(names) >= ORPHANS_TOLD:
                break
    else:
        key = KEYS[table][0]
        run_of_it = f"CASE instr({key}, '-') WHEN 0 THEN {key}"
        run_of_it += f" ELSE substr({key}, 1, instr({key}, '-') - 1) END"
        query = f"SELECT {key} FROM {table} WHERE {run_of_it} NOT IN (SELECT id FROM run)"
        names = [str(row[0]) for row in db.execute(f"{query} LIMIT {ORPHANS_TOLD}")]
    told = f": {', '.join(names)}" if names else ""
    report.found(f"table {table}", f"it has {_counted(more, 'row')} of which no event tells{told}")


def _is_event_of(db: sqlite3.Connection, seq: int, run_id: str) -> bool:
    """An event of this number is the run's, in the journal or where it was carried on."""
    if seq < begins_at(db):
        return any(seq == it for _, part in carried_of(db, run_id) for it, _ in part.events)
    entry = db.execute(SQL["journal_from"], (seq - 1, 1)).fetchone()
    if entry is None:
        return False
    events = unpack(entry["packed"])[0]
    number = seq - int(entry["seq"])
    return 0 <= number < len(events) and events[number].run_id == run_id


def _check_tally(db: sqlite3.Connection, report: Report) -> None:
    before = len(report.faults)
    told = {row["state"]: row["runs"] for row in db.execute(SQL["tally"])}
    is_so = dict(db.execute("SELECT state, count(*) FROM run GROUP BY state").fetchall())
    for state in sorted(told.keys() | is_so.keys()):
        if told.get(state, 0) != is_so.get(state, 0):
            report.found(
                f"table tally, {state}",
                f"it counts {told.get(state, 0)} runs, there are {is_so.get(state, 0)}",
            )
    faults = len(report.faults) - before
    report.looked("counts", f"{_counted(sum(is_so.values()), 'run')} by state", faults=faults)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
