-- The memory file as version 1 of its schema made it.
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE memories (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    timestamp REAL NOT NULL,
    x REAL NOT NULL, y REAL NOT NULL, z REAL NOT NULL,
    qx REAL NOT NULL, qy REAL NOT NULL, qz REAL NOT NULL, qw REAL NOT NULL,
    h3_cell TEXT NOT NULL,
    vector BLOB NOT NULL,
    action BLOB NOT NULL,
    session TEXT NOT NULL, robot TEXT NOT NULL, map_id TEXT NOT NULL,
    labels TEXT NOT NULL
);
CREATE TABLE thumbnails (
    seq INTEGER PRIMARY KEY REFERENCES memories (seq) ON DELETE CASCADE,
    jpeg BLOB NOT NULL
);
PRAGMA application_id = 0x53524147;
PRAGMA user_version = 1;
COMMIT;
