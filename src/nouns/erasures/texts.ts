import { caseOf } from '../../domain/audit/events.ts'
import type { FoundTexts } from '../../domain/erasure/commands.ts'
import type { ErasedTexts } from '../../domain/erasure/events.ts'
import { withoutTexts } from '../../domain/erasure/selection.ts'
import { holdsIn, isHeld, type LegalHold, retentionStream, textsStream } from '../../domain/erasure/state.ts'
import { textPlacesOf } from '../../domain/free-texts.ts'
import { LockstepError } from '../../errors.ts'
import type { Entry } from '../../kernel/entry.ts'
import { given } from '../../kernel/given.ts'
import { limits } from '../../kernel/limits.ts'
import { classOf } from '../../kernel/retention.ts'
import type { StoredEntry } from '../../log/free-texts.ts'
import type { Key } from '../../log/log.ts'
import { rowsWithout } from '../../views/rows-without.ts'
import type { Core } from '../../writer/core.ts'
import type { Outcome } from '../../writer/submission.ts'
import { Pace } from './pace.ts'

/** The characters of the entries that are written again at once. */
const charsMax = 4 * 1024 * 1024
/** How often an erasure is tried again because another one came first. */
const triesMax = 16

/** The most that one approval erases, and that one entry of a sweep does. */
export const [erasureMax, pageMax] = [limits.erasedTextsMax, limits.erasedPerEntry].map((texts) => {
  return { chars: charsMax, texts }
}) as [Max, Max]

interface Max {
  chars: number
  texts: number
}

/** Which free texts are looked for. */
export interface WantedTexts {
  from: number
  to: number
  /** The search ends at the first entry at or after this time. */
  until?: string
  isEntry: (entry: Entry) => boolean
  isPath: (path: string) => boolean
  /** Whether texts under a legal hold are left out. */
  skipsHeld?: boolean
}

interface FoundIn {
  /** How many texts were found. */
  count: number
  /** How many were left out because they are held. */
  held: number
  /** A hold that covers some of those that were found. */
  hold_id: string | null
  /** The seq of the first entry that is left; undefined at the end. */
  next: number | undefined
  texts: ErasedTexts[]
}

/**
 * The free texts that are wanted and not erased, by entry, as many as `max` allows. Texts of format 1 are part of what is
 * hashed, so they are not found. Cost: one pass over the entries, and one read for each that is wanted.
 */
export async function findTexts(
  { config, log, views }: Pick<Core, 'config' | 'log' | 'views'>,
  wanted: WantedTexts,
  max: Max,
): Promise<FoundIn> {
  const found: FoundIn = { count: 0, held: 0, hold_id: null, next: undefined, texts: [] }
  const holds = holdsIn(await views.row(retentionStream))
  const name = classOf(config.retention, 'text')
  const pace = new Pace(log)
  let chars = 0
  for await (const page of log.entries(wanted.from, wanted.to)) {
    for (const entry of page) {
      await pace.rest()
      if (wanted.until !== undefined && entry.time >= wanted.until) return found
      if (textPlacesOf(entry.type) === undefined || !wanted.isEntry(entry)) continue
      const [stored] = (await log.load([{ view: 'stored', key: entry.seq }])) as [StoredEntry]
      const paths = pathsLeft(stored, wanted)
      if (paths.length === 0) continue
      const hold = holdOn(holds, entry, name)
      if (hold !== null && wanted.skipsHeld) {
        found.held += paths.length
        continue
      }
      chars += JSON.stringify(stored).length
      if (found.texts.length > 0 && (found.count + paths.length > max.texts || chars > max.chars))
        return { ...found, next: entry.seq }
      found.hold_id ??= hold
      found.count += paths.length
      found.texts.push({ paths, seq: entry.seq })
    }
  }
  return found
}

function pathsLeft({ texts = [] }: StoredEntry, { isPath }: Pick<WantedTexts, 'isPath'>): string[] {
  return texts.flatMap((each) => ('text' in each && isPath(each.path) ? [each.path] : [])).sort()
}

/**
 * Examines the wanted texts of some entries and submits their erasure; again if other texts were erased meanwhile. The
 * errors are those of the submission.
 */
export async function eraseExamined(
  core: Core,
  { isPath, texts }: Pick<WantedTexts, 'isPath'> & Pick<FoundIn, 'texts'>,
  erase: (found: FoundTexts) => Promise<Outcome>,
): Promise<Outcome> {
  for (let tries = 1; ; tries += 1) {
    const found = await examined(core, texts, isPath)
    try {
      return await erase(found)
    } catch (error) {
      if (tries === triesMax || !isOvertaken(error)) throw error
    }
  }
}

function isOvertaken(error: unknown): boolean {
  return error instanceof LockstepError && error.code === 'OBJECT_IN_USE' && error.details.for === 'erasure'
}

/**
 * What a decision about erasing the wanted texts of some entries needs to know. The decision compares the last entries
 * about holds and about erased texts with those that were read here first. Cost: two reads for each entry, and one for
 * each entry of the streams whose rows hold some of the texts.
 */
async function examined(
  core: Pick<Core, 'config' | 'log' | 'views'>,
  asked: readonly ErasedTexts[],
  isPath: WantedTexts['isPath'],
): Promise<FoundTexts> {
  const { config, log, views } = core
  const texts_seq = (await views.row(textsStream))?.last_seq ?? null
  const retention = await views.row(retentionStream)
  const holds = holdsIn(retention)
  const texts: ErasedTexts[] = []
  const erased = new Map<number, Entry>()
  let held: string | null = null
  for (const { seq } of asked) {
    const keys: Key[] = [
      { view: 'entry', key: seq },
      { view: 'stored', key: seq },
    ]
    const [entry, stored] = (await log.load(keys)) as [Entry, StoredEntry]
    const paths = pathsLeft(stored, { isPath })
    if (paths.length === 0) continue
    held ??= holdOn(holds, entry, classOf(config.retention, 'text'))
    texts.push({ paths, seq })
    erased.set(seq, withoutTexts(entry, paths))
  }
  const rows = await rowsWithout(views, erased)
  return { held, retention_seq: retention?.last_seq ?? null, rows, texts, texts_seq }
}

/** The legal hold that covers the texts of an entry. */
function holdOn(holds: readonly LegalHold[], entry: Entry, name: string | undefined): string | null {
  const of = given({ case_id: caseOf(entry), run_id: entry.run_id })
  return holds.find(({ covers }) => isHeld(covers, of, name))?.hold_id ?? null
}
