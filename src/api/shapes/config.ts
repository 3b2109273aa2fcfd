import * as z from 'zod'
import { actorSchema } from '../../kernel/ids.ts'
import { durationSchema } from '../../kernel/retention.ts'
import { sha256Schema } from '../../kernel/vocabulary.ts'
import { hints } from '../hints.ts'
import { hash, seq } from './basics.ts'

export const reload = z.strictObject({
  actor: actorSchema.optional(),
  confirm_retention_minimum: durationSchema.optional(),
  sha256: sha256Schema.optional(),
})
export interface ReloadConfig extends z.input<typeof reload> {}

export const shown = z.strictObject({
  file: z.string(),
  loaded: z.string().nullable(),
  on_disk: z.enum(['changed', 'invalid', 'missing', 'same']),
  seq: seq.nullable(),
  settings: z.record(z.string(), z.json()),
  sha256: hash.nullable(),
})
/** The configuration in force, with the default of every setting that its file leaves out. */
export interface ConfigInForce extends z.output<typeof shown> {}

const problem = z.strictObject({ file: z.string(), line: z.int().min(0), message: z.string() })
const change = z.strictObject({ after: z.json(), before: z.json(), setting: z.string() })
export const checked = z.strictObject({
  changes: z.array(change),
  loadable: z.boolean(),
  problems: z.array(problem),
  sha256: hash.nullable(),
})
/** What a reload of the file would do: its problems, or the settings that it would change. */
export interface CheckedConfig extends z.output<typeof checked> {}

export const reloaded = shown.extend({ changes: z.array(change), replayed: z.boolean() })
export interface ReloadedConfig extends z.output<typeof reloaded> {}

hints.add(reload, {
  confirm_retention_minimum: { about: 'The new retention.minimum, if texts will be kept for a shorter time.' },
  sha256: { about: 'The hash that "config check" showed. Another file is refused.' },
})
const inForce = {
  on_disk: { about: 'How the file compares: a changed file has no effect until it is loaded.' },
  seq: { about: 'The entry that put the configuration in force; null if none did.' },
  settings: { about: 'Every setting with its value.' },
  sha256: { about: 'The SHA-256 of the text in force; decisions name it.' },
}
const changes = { changes: { about: 'The settings whose values change, except for `accept_permissions`.' } }
hints.add(shown, inForce)
hints.add(checked, {
  ...changes,
  sha256: { about: 'The SHA-256 of the file; null if the file cannot be loaded.' },
})
hints.add(reloaded, { ...changes, ...inForce, replayed: { about: 'Whether this text was in force already.' } })
hints.add(change, {
  after: { about: 'The value in the file; null if there is none.' },
  before: { about: 'The value in force; null if there is none.' },
})
