import * as z from 'zod'
import { isWellFormed } from '../../kernel/canonical.ts'
import { limits } from '../../kernel/limits.ts'
import { sha256Schema } from '../../kernel/vocabulary.ts'

/** The JSON text of an argv, in UTF-16 code units. With its paths it fits into an entry. */
const textMax = limits.entryBytes / 4

const noNul = (text: string) => isWellFormed(text) && !text.includes('\0')

/** An absolute path without empty names and without `.` and `..`, which would make it another path. */
const absolutePath = /^(?:\/(?!\.{1,2}(?:\/|$))[^/]+)+$/
const path = z
  .string()
  .max(limits.reasonChars)
  .regex(absolutePath, 'must be an absolute path without . and ..')
  .refine(noNul, 'must be well-formed Unicode without NUL')
const word = z.string().max(textMax).refine(noNul, 'must be well-formed Unicode without NUL')

/**
 * A program as it was found, with the links of its folder resolved, and where its own link leads. They are equal if it
 * is no link.
 */
export const programSchema = z.strictObject({ found: path, real: path })
export type Program = z.infer<typeof programSchema>

/**
 * What a tool call runs. A caller that knows only the digest cannot use a tool that its lane binds to a program.
 */
export const commandSchema = z
  .strictObject({
    argv: z.array(word).min(1).max(textMax).optional(),
    /** SHA-256 of the RFC 8785 form of `{"command": argv}`. The ledger computes it where it has the argv. */
    argv_sha256: sha256Schema.optional(),
    program: programSchema.optional(),
  })
  .refine(({ argv, argv_sha256 }) => (argv === undefined) !== (argv_sha256 === undefined), 'needs argv or argv_sha256')
  .refine(({ argv = [] }) => JSON.stringify(argv).length <= textMax, 'argv is too long')
