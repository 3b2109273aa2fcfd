import * as z from 'zod'
import { isWellFormed } from './canonical.ts'
import { limits } from './limits.ts'

const encoder = new TextEncoder()

/** Text on one line: not blank at its ends, no control characters, well formed, at most `bytesMax` in UTF-8. */
export function lineOf(bytesMax: number) {
  return z
    .string()
    .min(1, 'must not be empty')
    .refine((text) => utf8Bytes(text) <= bytesMax, `must be at most ${bytesMax} bytes`)
    .refine((text) => isWellFormed(text), 'must be well-formed Unicode')
    .refine((text) => !controlCharacter.test(text), 'must not contain control characters')
    .refine((text) => text.trim() === text, 'must not begin or end with white space')
}

/** Free text: several lines allowed, no other control characters, not blank. */
export const reasonSchema = z
  .string()
  .max(limits.reasonChars)
  .refine((text) => text.trim() !== '', 'must not be blank')
  .refine((text) => isWellFormed(text), 'must be well-formed Unicode')
  .refine((text) => !/[^\P{Cc}\n\r\t]/u.test(text), 'must not contain control characters')

/**
 * An object whose keys the caller chooses. A key __proto__ is refused, because zod's own records drop it without a
 * word, and the decision would be made about something else than was asked for. The check stands before the record and
 * not in a schema of its own, so that JSON Schema can still describe the record.
 */
export function recordWith<Key extends z.ZodType<string, string>, Value extends z.ZodType>(key: Key, value: Value) {
  const record = z.record(key, value)
  const checked = z.preprocess((input, context) => {
    if (Object.hasOwn(Object(input), '__proto__')) context.addIssue('must not have a member __proto__')
    return input
  }, record)
  return checked as unknown as z.ZodType<z.output<typeof record>, z.input<typeof record>>
}

/** The member of a record under a name that a caller chose; never one of Object's own, such as `constructor`. */
export function ownMember<Value>(record: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined
}

const controlCharacter = /[\p{Cc}\u2028\u2029]/u

function utf8Bytes(text: string): number {
  return text.length > limits.nameBytes ? encoder.encode(text).length : shortUtf8Bytes(text)
}

// Names are short and nearly always ASCII, where the length in code units is the length in bytes.
function shortUtf8Bytes(text: string): number {
  for (let index = 0; index < text.length; index += 1) {
    if (text.charCodeAt(index) > 127) return encoder.encode(text).length
  }
  return text.length
}

export const holderSchema = lineOf(limits.nameBytes)

/** Who does something. `role_id` and `on_behalf_of` are claims unless the configuration binds them. */
export const actorSchema = z.strictObject({
  actor_id: lineOf(120),
  actor_type: z.enum(['agent', 'human', 'system']),
  on_behalf_of: lineOf(120).optional(),
  role_id: lineOf(120).optional(),
})
export type Actor = z.infer<typeof actorSchema>

/** Minted by the caller for each acquisition, before its first try: the holder's secret. */
export const lockIdSchema = z
  .string()
  .regex(/^lck_[A-Za-z0-9_-]{16,64}$/, 'must be lck_ and 16 to 64 characters of A-Z a-z 0-9 _ -')

/** First 16 hex digits of the SHA-256 of a lock_id: what entries, files and reports show instead of it. */
export const lockRefSchema = z.string().regex(/^[0-9a-f]{16}$/)

export const requestKeySchema = lineOf(limits.requestKeyBytes)

/** `lockstep.local/<ledger_id>` unless configured: the name of the ledger's key, so no space and no plus. */
export const originSchema = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[\x21-\x2a\x2c-\x7e]+$/, 'must be printable ASCII without space and plus')

export const ledgerIdSchema = z.string().regex(/^[a-z0-9]{12,32}$/)

/** Derived, so that no index is needed: whoever has the id knows the ledger and the seq. */
export function eventIdOf(ledgerId: string, seq: number): string {
  return `evt_${ledgerId}_${seq}`
}
