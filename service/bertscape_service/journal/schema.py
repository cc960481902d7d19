"""The tables of the journal, and how an older file becomes a newer one.

`PRAGMA user_version` counts the upgrades that a file has had. A change of the tables is one more
entry of `UPGRADES`; an entry that was released never changes.
"""

import sqlite3
from pathlib import Path

from bertscape.values import InvalidInput, ProblemType

_VERSION_1 = """
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of submission; never used again
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (
        state IN ('queued', 'preparing', 'running', 'completed', 'failed', 'cancelled')
    ),
    active INTEGER NOT NULL GENERATED ALWAYS AS (
        state IN ('queued', 'preparing', 'running')
    ) VIRTUAL,                     -- 1 until the job ends
    spec TEXT NOT NULL,            -- JSON
    tile_points INTEGER NOT NULL,
    points_total INTEGER NOT NULL,
    tiles_total INTEGER NOT NULL,
    points_done INTEGER NOT NULL DEFAULT 0,
    tiles_done INTEGER NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL DEFAULT 0,  -- counts changes of what a surface is made from
    created REAL NOT NULL,         -- Unix time, seconds
    updated REAL NOT NULL,
    idempotency_key TEXT UNIQUE,
    body_sha256 TEXT NOT NULL,
    findings TEXT,                 -- JSON: the pins, from the first preparing on
    run TEXT,                      -- JSON: workers, threads, versions of the last preparing
    error TEXT                     -- JSON: the problem object of a failed job
) STRICT;

CREATE INDEX jobs_by_activity ON jobs (active, number);

CREATE TABLE tiles (
    job INTEGER NOT NULL REFERENCES jobs (number),
    tile INTEGER NOT NULL,
    numbers BLOB NOT NULL,         -- little-endian float64, (points, 8): a column would lose a NaN
    worker TEXT NOT NULL,
    device TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    seconds REAL NOT NULL,
    PRIMARY KEY (job, tile)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
    number INTEGER PRIMARY KEY,    -- the order in which they ended
    job INTEGER NOT NULL REFERENCES jobs (number),
    tile INTEGER,                  -- NULL: an attempt at preparing
    attempt INTEGER NOT NULL,
    worker TEXT NOT NULL,
    device TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('done', 'failed', 'lost')),
    error TEXT,
    started REAL NOT NULL,
    seconds REAL NOT NULL
) STRICT;

CREATE INDEX attempts_by_job ON attempts (job, tile);
"""

_VERSION_2 = """
ALTER TABLE jobs ADD COLUMN output TEXT;  -- JSON: what a fine-tuning left behind
"""

_VERSION_3 = """
ALTER TABLE tiles DROP COLUMN worker;  -- `attempts` has all four of them
ALTER TABLE tiles DROP COLUMN device;
ALTER TABLE tiles DROP COLUMN attempt;
ALTER TABLE tiles DROP COLUMN seconds;
"""

_VERSION_4 = """
ALTER TABLE jobs ADD COLUMN estimate TEXT;  -- JSON: what it would take, told at its submission
ALTER TABLE jobs ADD COLUMN taken REAL;     -- seconds from the first attempt to the last point

CREATE TABLE rates (
    number INTEGER PRIMARY KEY,    -- the order of measuring
    job INTEGER NOT NULL REFERENCES jobs (number),
    stage TEXT NOT NULL CHECK (stage IN ('preparing', 'points', 'steps')),
    device TEXT NOT NULL,
    threads INTEGER NOT NULL,
    precision TEXT NOT NULL,       -- as the spec asks for it
    evaluator TEXT,                -- NULL of a training
    model TEXT NOT NULL,           -- family and sizes
    flops REAL NOT NULL,           -- of the whole stage; 0 if they do not take the time
    count INTEGER NOT NULL,        -- points or steps; 1 of preparing
    seconds REAL NOT NULL          -- that workers worked, added up
) STRICT;

CREATE INDEX rates_by_device ON rates (device, model, stage, number);
"""

UPGRADES: tuple[str, ...] = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4)


def upgrade(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a journal file, new or of an older version, to the present version.

    Raises:
        InvalidInput: a newer bertscape wrote the file, or it is no journal at all.
    """
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(UPGRADES):
            raise _not_readable(path, f"has version {version}")
        for reached, script in enumerate(UPGRADES[version:], start=version + 1):
            steps = f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {reached}; COMMIT;"
            connection.executescript(steps)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise _not_readable(path, f"({error})") from error


def _not_readable(path: Path, found: str) -> InvalidInput:
    expected = f"a journal of version {len(UPGRADES)} or older"
    return InvalidInput.of(ProblemType.INVALID_DATA, "--state-dir", str(path), expected, found)
