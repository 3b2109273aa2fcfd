import { writeFileSync } from 'node:fs'
import * as z from 'zod'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import type { Layout } from './layout.ts'
import { readRegularFile } from './regular-file.ts'

/** The one engine beside LevelDB: a connection string. */
export const engineSchema = z
  .string()
  .max(4_096)
  .regex(/^postgres(?:ql)?:\/\//, 'must begin with postgres://')

const fileSchema = z.strictObject({
  engine: engineSchema,
  ledger_id: z.string().min(1).max(64),
  node: z.string().min(1).max(64),
})

/** Where the ledger of a home folder is, if it is not in the folder: the database, and the name of this node in it. */
export interface EngineFile extends z.output<typeof fileSchema> {}

/**
 * The file `.lockstep/engine.json`; undefined if the ledger is in files. A connection string can have a password, so the
 * file is apart from the configuration, whose text is recorded, and no message quotes it. Errors: CONFIG_INVALID,
 * LEDGER_INSECURE, FILE_DENIED, FILE_FAILED.
 */
export function readEngineFile({ engine }: Pick<Layout, 'engine'>): EngineFile | undefined {
  const read = readRegularFile(engine, limits.homeFileBytes)
  if (read === undefined) return undefined
  const { data } = 'bytes' in read ? fileSchema.safeParse(parsed(read.bytes)) : { data: undefined }
  if (data !== undefined) return data
  throw new LockstepError('CONFIG_INVALID', `${engine} does not name a database and a ledger in it`, {
    details: { problems: [{ file: engine, line: 1, message: 'it must have engine, ledger_id and node' }] },
    hint: 'It has a line such as {"engine": "postgres://lockstep@db.example/ledgers", "ledger_id": "…", "node": "…"}.',
  })
}

/** Writes the file of a home folder that is being made. Only its owner can read it. */
export function writeEngineFile({ engine }: Pick<Layout, 'engine'>, content: EngineFile): void {
  writeFileSync(engine, `${JSON.stringify(content)}\n`, { flag: 'wx', flush: true, mode: 0o600 })
}

/** Undefined if it is not JSON. */
function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString())
  } catch {
    return undefined
  }
}
