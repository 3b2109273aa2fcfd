import * as z from 'zod'
import { writeDurably } from '../../../disk/durable.ts'
import { readTextFile } from '../../../disk/regular-file.ts'
import { LockstepError } from '../../../errors.ts'
import { limits } from '../../../kernel/limits.ts'

/** `.lockstep/head`: a durable tree head outside the database. It reveals a database that was rolled back. */
const headFileSchema = z.strictObject({
  origin: z.string(),
  root: z.string().regex(/^[0-9a-f]{64}$/),
  size: z.int().min(0),
  time: z.string(),
})
export type HeadFile = z.infer<typeof headFileSchema>

/** The tree head that was last made durable; undefined if there is none yet. Errors: LEDGER_CORRUPT. */
export function readHeadFile(path: string): HeadFile | undefined {
  const text = readTextFile(path, limits.homeFileBytes, (is) => unusable(path, is))
  if (text === undefined) return undefined
  try {
    return headFileSchema.parse(JSON.parse(text))
  } catch (cause) {
    throw unusable(path, 'is not a tree head', cause)
  }
}

/** `beside` names the temporary file. Pass it if another process may be writing the head file at the same time. */
export function writeHeadFile(path: string, head: HeadFile, beside?: string): Promise<void> {
  return writeDurably(path, `${JSON.stringify(head)}\n`, undefined, beside)
}

function unusable(path: string, is: string, cause?: unknown): LockstepError {
  return new LockstepError('LEDGER_CORRUPT', `${path} ${is}`, {
    hint: 'If you are sure that the database is intact, move this file aside and run "lockstep verify".',
    cause,
  })
}
