/** The schema of the database in which all tables are. */
export const schemaName = 'lockstep'

/** The role that nodes write under, unless the operator names another one. */
export const writerRoleDefault = 'lockstep_writer'

/**
 * The steps from one version of the schema to the next; a database of version N has had the first N. A step is never
 * changed once it was released.
 */
export const schemaSteps: readonly string[] = [
  `
CREATE SCHEMA lockstep;

-- The version of this schema: one row.
CREATE TABLE lockstep.version (version integer NOT NULL);
INSERT INTO lockstep.version VALUES (0);

-- One row for each ledger: its size and tree, and the writer's seat. Every append changes it, and compares size and
-- epoch in the same statement. The low fillfactor keeps the new version of the row in the same page.
CREATE TABLE lockstep.head (
  ledger_id   text        PRIMARY KEY,
  size        bigint      NOT NULL,
  root        bytea       NOT NULL,
  frontier    bytea       NOT NULL,
  epoch       bigint      NOT NULL DEFAULT 0,
  writer      jsonb,
  lease_until timestamptz NOT NULL DEFAULT '-infinity',
  format      integer     NOT NULL,
  origin      text        NOT NULL,
  generation  smallint    NOT NULL DEFAULT 1
) WITH (fillfactor = 10);

-- The entries of one append: count lines of canonical JSON, from entry seq on. The lines are what is hashed. The
-- writer's role can add batches, and can change none.
CREATE TABLE lockstep.batch (
  ledger_id text    NOT NULL,
  seq       bigint  NOT NULL,
  count     integer NOT NULL,
  epoch     bigint  NOT NULL,
  lines     text    NOT NULL,
  PRIMARY KEY (ledger_id, seq)
);

-- The tiles of the Merkle tree, in pieces that are never changed: a tile of level 0 is one piece and is added when it
-- is full, and a higher tile grows by a piece at a time. first is the position of a piece's first hash in its tile.
CREATE TABLE lockstep.tile (
  ledger_id text     NOT NULL,
  level     smallint NOT NULL,
  index     bigint   NOT NULL,
  first     smallint NOT NULL,
  hashes    bytea    NOT NULL,
  PRIMARY KEY (ledger_id, level, index, first)
);

-- The free texts of the entries in a batch, if it has any: a line of JSON for each entry. The lines of the batch have
-- commitments to them, so texts can be erased and not changed unseen.
CREATE TABLE lockstep.text (
  ledger_id text   NOT NULL,
  seq       bigint NOT NULL,
  texts     text   NOT NULL,
  PRIMARY KEY (ledger_id, seq)
);

-- Objects in pieces, under their SHA-256. The mark of an erasure takes the place of the first piece.
CREATE TABLE lockstep.object (
  ledger_id text     NOT NULL,
  digest    bytea    NOT NULL,
  piece     integer  NOT NULL,
  value     bytea    NOT NULL,
  PRIMARY KEY (ledger_id, digest, piece)
);

-- What is derived from the entries, by generation: rows of streams (r), sovereign state (s), receipts (i), the search
-- index (x). In generation 0: the identity (m), and notes about objects that no entry names yet (n). The first byte of
-- a key is its kind.
CREATE TABLE lockstep.row (
  ledger_id text     NOT NULL,
  gen       smallint NOT NULL,
  key       bytea    NOT NULL,
  value     bytea    NOT NULL,
  PRIMARY KEY (ledger_id, gen, key)
) WITH (fillfactor = 70);

-- How far the files of a node follow the log, by reactor.
CREATE TABLE lockstep.cursor (
  ledger_id text  NOT NULL,
  node      text  NOT NULL,
  cursors   jsonb NOT NULL,
  PRIMARY KEY (ledger_id, node)
) WITH (fillfactor = 10);

-- Every entry, for people with psql. jsonb cannot hold the character U+0000, so entry has U+FFFD for it; line is exact.
CREATE VIEW lockstep.entry AS
SELECT b.ledger_id,
       b.seq + l.number - 1 AS seq,
       CASE WHEN position('\\u0000' IN l.line) = 0 THEN l.line
            ELSE regexp_replace(l.line, '(?<!\\\\)((?:\\\\\\\\)*)\\\\u0000', '\\1\\ufffd', 'g')
       END::jsonb AS entry,
       l.line
  FROM lockstep.batch b
 CROSS JOIN LATERAL unnest(string_to_array(b.lines, chr(10))) WITH ORDINALITY AS l (line, number);
`,
]

/** The version of the schema that this version of Lockstep reads and writes. */
export const schemaVersion = schemaSteps.length

/**
 * The rights of the writer's role. It adds entries and tiles, and changes none. A head changes with each append; free
 * texts and objects are erased; rows and cursors are derived from the entries.
 */
export function grantsTo(role: string): string {
  return `
GRANT USAGE ON SCHEMA lockstep TO ${role};
GRANT SELECT ON lockstep.version, lockstep.entry TO ${role};
GRANT SELECT, INSERT ON lockstep.batch, lockstep.tile TO ${role};
GRANT SELECT, INSERT, UPDATE ON lockstep.head, lockstep.text, lockstep.cursor TO ${role};
GRANT SELECT, INSERT, UPDATE, DELETE ON lockstep.object, lockstep.row TO ${role};
`
}
