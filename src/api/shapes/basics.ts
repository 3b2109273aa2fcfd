import * as z from 'zod'
import { type Entry, entrySchema } from '../../kernel/entry.ts'
import { lineOf } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'

// Shapes that the answers of several nouns share.

export const nothing = z.strictObject({})
/** The input of an operation without input. */
export interface Nothing extends z.input<typeof nothing> {}

export const seq = z.int().min(0)
export const size = z.int().min(0)
export const time = z.iso.datetime({ precision: 3 })
export const hash = z.string().regex(/^[0-9a-f]{64}$/)
export const files = z.enum(['current', 'pending'])
/** A lock's full name in an answer. */
export const fullName = z
  .string()
  .min(1)
  .max(limits.lockNameBytes + 50)

/**
 * A path on the machine of the ledger: absolute, or relative to the ledger's root. It never depends on the working
 * directory of the process that serves the call; a caller that means its own working directory makes the path absolute.
 */
export const path = lineOf(limits.pathBytes)

/** The type of an entry leaves out members that Lockstep never writes; the schema allows them. */
export const entry = entrySchema as unknown as z.ZodType<Entry>
