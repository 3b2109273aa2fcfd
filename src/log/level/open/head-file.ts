import * as z from 'zod'
import { writeDurably } from '../../../disk/durable.ts'
import { readTextFile } from '../../../disk/regular-file.ts'
import { LockstepError } from '../../../errors.ts'
import { formatTooNew, formatVersion } from '../../../kernel/format.ts'
import { limits } from '../../../kernel/limits.ts'

/** `.lockstep/head`: a durable tree head outside the database. It reveals a database that was rolled back. */
const headFileSchema = z.strictObject({
  origin: z.string(),
  root: z.string().regex(/^[0-9a-f]{64}$/),
  size: z.int().min(0),
  time: z.string(),
})
export type HeadFile = z.infer<typeof headFileSchema>

/** A later format states its number here, because this file is read before any other file of a ledger. */
const statedFormatSchema = z.object({ format: z.int() })

/**
 * The tree head that was last made durable; undefined if there is none yet. Errors: LEDGER_CORRUPT; FORMAT_TOO_NEW if
 * the file states a later format.
 */
export function readHeadFile(path: string): HeadFile | undefined {
  const text = readTextFile(path, limits.homeFileBytes, (is) => unusable(path, is))
  if (text === undefined) return undefined
  const document = parsed(path, text)
  const stated = statedFormatSchema.safeParse(document).data?.format ?? 0
  if (stated > formatVersion) throw formatTooNew('the ledger', { found: stated, read: formatVersion })
  const { data, error } = headFileSchema.safeParse(document)
  if (data === undefined) throw unusable(path, 'is not a tree head', error)
  return data
}

/** `beside` names the temporary file. Pass it if another process may be writing the head file at the same time. */
export function writeHeadFile(path: string, head: HeadFile, beside?: string): Promise<void> {
  return writeDurably(path, `${JSON.stringify(head)}\n`, undefined, beside)
}

function parsed(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw unusable(path, 'is not a tree head', cause)
  }
}

function unusable(path: string, is: string, cause?: unknown): LockstepError {
  return new LockstepError('LEDGER_CORRUPT', `${path} ${is}`, {
    hint: 'If you are sure that the database is intact, move this file aside and run "lockstep verify".',
    cause,
  })
}
