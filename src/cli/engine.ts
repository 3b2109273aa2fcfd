import type { Command } from 'commander'
import { type EngineFile, engineSchema, readEngineFile } from '../disk/engine-file.ts'
import { findRoot } from '../disk/layout.ts'
import { governingLayout } from '../disk/permissions.ts'
import { LockstepError } from '../errors.ts'
import type { EngineFacts } from '../log/postgres/facts.ts'
import { writerRoleDefault } from '../log/postgres/schema.ts'
import { folderOf } from './context.ts'
import type { Globals } from './globals.ts'
import { local, noun, text } from './verb.ts'

export function engineCommand(verb: string | undefined): Command {
  return noun('engine', { init: initVerb, upgrade: upgradeVerb, show: showVerb }, verb, [
    'lockstep engine init --engine postgres://admin@db.example/ledgers',
    'lockstep engine show --json',
  ])
}

const engine = text('--engine <url>', 'the database: postgres://… (default: the one of the ledger)')
const own = {
  engine,
  writer: {
    ...text('--writer <role>', 'the role that nodes write under; it is made if it is missing'),
    fallback: writerRoleDefault,
  },
}
const initVerb = () =>
  setUpVerb('init', 'Makes the tables of Lockstep in a PostgreSQL database, and gives the writer its rights.')
const upgradeVerb = () =>
  setUpVerb('upgrade', 'Brings the tables of Lockstep in a PostgreSQL database to this version.')

/** Both verbs do the same: they add what the database lacks. */
function setUpVerb(name: string, about: string): Command {
  return local(name, about, {
    more: 'Give it a role that may create schemas and roles, and that no node uses. A password belongs in PGPASSFILE or in a service file, not in the command.',
    errors: ['FORMAT_TOO_NEW', 'LEDGER_UNAVAILABLE'],
    own,
    run: ({ given, globals }) => setUp(globals, given),
    lines: setUpLines,
    examples: [
      `lockstep engine ${name} --engine postgres://admin@db.example/ledgers`,
      `lockstep engine ${name} --engine postgres://admin@db.example/ledgers --writer app_writer --json`,
    ],
  })
}

function showVerb(): Command {
  return local('show', 'Shows which engine has the ledger, how durable it is, and which node writes.', {
    errors: ['LEDGER_UNAVAILABLE'],
    own: { engine },
    run: async ({ given, globals }) => {
      const file = fileOf(globals)
      const url = given.engine === undefined ? file?.engine : checked(given.engine)
      if (url === undefined) return { engine: 'leveldb' as const }
      const { engineFacts } = await import('../log/postgres/facts.ts')
      return { engine: 'postgresql' as const, node: file?.node ?? null, ...(await engineFacts(url, file?.ledger_id)) }
    },
    lines: (shown) => (shown.engine === 'leveldb' ? ['the ledger is in files (LevelDB)'] : factLines(shown)),
    examples: ['lockstep engine show', 'lockstep engine show --engine postgres://lockstep@db.example/ledgers --json'],
  })
}

async function setUp(globals: Globals, given: { engine: string | undefined; writer: string | undefined }) {
  const url = given.engine === undefined ? fileOf(globals)?.engine : checked(given.engine)
  if (url === undefined) {
    throw new LockstepError('INVALID_INPUT', '--engine is missing, and no ledger in a database governs this folder')
  }
  const { setUpEngine } = await import('../log/postgres/facts.ts')
  return setUpEngine(url, given.writer ?? writerRoleDefault)
}

function setUpLines({ from, to, writer }: { from: number; to: number; writer: string }): string[] {
  const did = from === to ? `the schema has version ${to} already` : `the schema has version ${to} now, after ${from}`
  return [did, `the role ${writer} may add entries and change none`]
}

function factLines({
  database,
  durability,
  excess,
  ledger,
  round_trip_ms,
  schema_version,
  server_version,
}: EngineFacts): string[] {
  const { settings } = durability
  const seat =
    ledger === null
      ? 'no ledger'
      : `ledger ${ledger.ledger_id}: ${ledger.size} entries, epoch ${ledger.epoch}, ${
          ledger.writer === null || ledger.left_ms === 0 ? 'no writer' : `written by ${ledger.writer}`
        }`
  return [
    `PostgreSQL ${server_version}, database ${database}, schema version ${schema_version}, ${round_trip_ms.toFixed(1)} ms a round trip`,
    seat,
    `synchronous_commit ${settings.synchronous_commit}, fsync ${settings.fsync}, synchronous_standby_names '${settings.synchronous_standby_names}'`,
    ...durability.problems.map((problem) => `warning: ${problem}`),
    ...excess.map((right) => `warning: this role has ${right}, which a writer must not have`),
  ]
}

/** The engine file of the ledger that governs the folder, if there is one. */
function fileOf(globals: Globals): EngineFile | undefined {
  const root = findRoot(folderOf(globals))
  return root === undefined ? undefined : readEngineFile(governingLayout(root))
}

function checked(url: string): string {
  const { data } = engineSchema.safeParse(url)
  if (data === undefined) throw new LockstepError('INVALID_INPUT', '--engine must begin with postgres://')
  return data
}
