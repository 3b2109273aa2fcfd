import * as z from 'zod'
import { recordWith } from './ids.ts'

/**
 * What the ledger uses an object for. Links and proposals say what a promotion did, so that state follows from entries.
 * They are never erased.
 */
export type ObjectKind = (typeof erasableKinds)[number] | 'links' | 'proposal'

/** The kinds of object that can be erased. */
export const erasableKinds = ['body', 'configuration', 'export_record', 'issues', 'manifest'] as const
type ErasableKind = (typeof erasableKinds)[number]

/** What a class of retention can cover: kinds of object, and the free texts of entries. */
export const retainedKinds = [...erasableKinds, 'text'] as const
type RetainedKind = ObjectKind | 'text'

export function isErasable(kind: ObjectKind): kind is ErasableKind {
  return kind !== 'links' && kind !== 'proposal'
}

const secondsIn = { s: 1, m: 60, h: 3_600, d: 86_400 } as const

/** A duration such as `90d`. */
export const durationSchema = z
  .string()
  .regex(/^[1-9]\d{0,5}[smhd]$/, 'must be a duration such as 90d, 12h, 15m or 30s')

/** The seconds of a duration. */
export function secondsOf(text: string): number {
  return Number(text.slice(0, -1)) * secondsIn[text.at(-1) as keyof typeof secondsIn]
}

/** The name of a class of texts. */
export const retentionClassName = z.string().regex(/^[a-z][a-z0-9_]{0,59}$/, 'must be lower-case letters, digits and _')

const retentionClass = z.strictObject({
  /** The kinds of object that the class covers, or `text` for the free texts of entries. */
  covers: z.array(z.enum(retainedKinds)).min(1).max(retainedKinds.length),
  /**
   * How long after the last entry that named it an object is erased, unless the ledger still needs it, and how long
   * after its entry a free text is.
   */
  delete_after: durationSchema,
})

/** Six months, which only an entry that confirms it makes shorter. */
export const retentionMinimumDefault = '183d'

/** `retention` of the configuration. Each kind is in one class at most. */
export const retentionSchema = z
  .strictObject({
    classes: recordWith(retentionClassName, retentionClass).default({}),
    /** No text is erased by itself before this time, whatever its class says. */
    minimum: durationSchema.default(retentionMinimumDefault),
  })
  .refine(({ classes }) => {
    const kinds = Object.values(classes).flatMap(({ covers }) => covers)
    return new Set(kinds).size === kinds.length
  }, 'a kind of object is in more than one class')
export type Retention = z.infer<typeof retentionSchema>

/** The class that covers a kind of object, or free texts. */
export function classOf({ classes }: Retention, kind: RetainedKind): string | undefined {
  return Object.keys(classes).find((name) => classes[name]?.covers.some((covered) => covered === kind))
}
