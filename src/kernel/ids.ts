import * as z from 'zod'
import { isWellFormed } from './canonical.ts'
import { limits } from './limits.ts'

const encoder = new TextEncoder()

/**
 * One line of well-formed text without control characters or white space at its ends, at most `bytesMax` bytes in
 * UTF-8.
 */
export function lineOf(bytesMax: number) {
  return z
    .string()
    .min(1, 'must not be empty')
    .refine((text) => utf8Bytes(text) <= bytesMax, `must be at most ${bytesMax} bytes`)
    .refine((text) => isWellFormed(text), 'must be well-formed Unicode')
    .refine((text) => !controlCharacter.test(text), 'must not contain control characters')
    .refine((text) => text.trim() === text, 'must not begin or end with white space')
}

/** Free text: not blank, without control characters except line breaks and tabs. */
export const reasonSchema = z
  .string()
  .max(limits.reasonChars)
  .refine((text) => text.trim() !== '', 'must not be blank')
  .refine((text) => isWellFormed(text), 'must be well-formed Unicode')
  .refine((text) => !/[^\P{Cc}\n\r\t]/u.test(text), 'must not contain control characters')

/**
 * An object whose keys the caller chooses. A key __proto__ is refused, because zod's records drop it silently, and the
 * decision would then be about other input than the caller sent. The check precedes the record instead of being a
 * separate schema, so that JSON Schema can still describe the record.
 */
export function recordWith<Key extends z.ZodType<string, string>, Value extends z.ZodType>(key: Key, value: Value) {
  const record = z.record(key, value)
  const checked = z.preprocess((input, context) => {
    if (Object.hasOwn(Object(input), '__proto__')) context.addIssue('must not have a member __proto__')
    return input
  }, record)
  return checked as unknown as z.ZodType<z.output<typeof record>, z.input<typeof record>>
}

/** The member of a record under a caller's name. It never returns members of Object, such as `constructor`. */
export function ownMember<Value>(record: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined
}

const controlCharacter = /[\p{Cc}\u2028\u2029]/u

function utf8Bytes(text: string): number {
  return text.length > limits.nameBytes ? encoder.encode(text).length : shortUtf8Bytes(text)
}

// Names are short and nearly always ASCII, so their length in bytes equals that in code units.
function shortUtf8Bytes(text: string): number {
  for (let index = 0; index < text.length; index += 1) {
    if (text.charCodeAt(index) > 127) return encoder.encode(text).length
  }
  return text.length
}

export const holderSchema = lineOf(limits.nameBytes)

/**
 * The actor that a caller claims to be. `role_id` and `on_behalf_of` are unverified claims unless the configuration
 * binds them.
 */
export const actorSchema = z.strictObject({
  actor_id: lineOf(120),
  actor_type: z.enum(['agent', 'human', 'system']),
  on_behalf_of: lineOf(120).optional(),
  role_id: lineOf(120).optional(),
})
export type Actor = z.infer<typeof actorSchema>

/**
 * How the caller is known: `os:<user>`, the user of the operating system whose process called, or `token:<token_id>`,
 * the token that the caller showed. Inputs do not have this member, so no caller can state it (ADR 0053).
 */
export const authnSchema = z.string().regex(/^(?:os|token):[!-~]{1,120}$/, 'must be os:USER or token:ID')

/** The actor in an entry: what the caller claimed, and how the caller is known. Members are in canonical order. */
export const recordedActorSchema = z.strictObject({
  actor_id: actorSchema.shape.actor_id,
  actor_type: actorSchema.shape.actor_type,
  authn: authnSchema.optional(),
  on_behalf_of: actorSchema.shape.on_behalf_of,
  role_id: actorSchema.shape.role_id,
})
export type RecordedActor = z.infer<typeof recordedActorSchema>

/** The claimed actor with how the caller is known, in canonical order. Without `authn`, nothing is known. */
export function knownAs(claim: RecordedActor, authn: string | undefined): RecordedActor {
  if (claim.authn === authn) return claim
  const { actor_id, actor_type, authn: _, ...rest } = claim
  return authn === undefined ? { actor_id, actor_type, ...rest } : { actor_id, actor_type, authn, ...rest }
}

/** The holder's secret. The caller creates one for each acquisition, before the first try. */
export const lockIdSchema = z
  .string()
  .regex(/^lck_[A-Za-z0-9_-]{16,64}$/, 'must be lck_ and 16 to 64 characters of A-Z a-z 0-9 _ -')

/** First 16 hex digits of the SHA-256 of a lock_id: entries, files and reports show it instead of the lock_id. */
export const lockRefSchema = z.string().regex(/^[0-9a-f]{16}$/)

export const requestKeySchema = lineOf(limits.requestKeyBytes)

/**
 * `lockstep.local/<ledger_id>` unless configured. It names the ledger's key, so it cannot have spaces or plus signs.
 */
export const originSchema = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[\x21-\x2a\x2c-\x7e]+$/, 'must be printable ASCII without space and plus')

export const ledgerIdSchema = z.string().regex(/^[a-z0-9]{12,32}$/)

/** Derived from the ledger id and the seq, so that an event is found by its id without an index. */
export function eventIdOf(ledgerId: string, seq: number): string {
  return `evt_${ledgerId}_${seq}`
}
