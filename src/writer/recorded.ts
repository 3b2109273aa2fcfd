import { textPlacesOf } from '../domain/free-texts.ts'
import { LockstepError } from '../errors.ts'
import type { Entry } from '../kernel/entry.ts'
import { limits } from '../kernel/limits.ts'
import { committedData } from '../log/free-texts.ts'
import type { Recorded } from '../log/log.ts'
import type { Disclosure } from '../merkle/commitment.ts'

/**
 * What is recorded of an entry. From format 2 on, the hashed text has commitments in place of free texts (ADR 0068).
 * Errors: LIMIT_EXCEEDED.
 */
export function recordedOf(entry: Entry, format: number): Recorded {
  const places = format < 2 ? undefined : textPlacesOf(entry.type)
  const texts: Disclosure[] = []
  const data = places === undefined ? entry.data : committedData(entry.data, places, texts)
  if (texts.length === 0) return bounded({ entry, text: JSON.stringify(entry) })
  return bounded({ entry, text: JSON.stringify({ ...entry, data }), texts })
}

/** The length of what is stored of an entry, without salts and paths, in UTF-16 code units. */
export function lengthOf({ text, texts = [] }: Recorded): number {
  return texts.reduce((sum, each) => sum + ('text' in each ? each.text.length : 0), text.length)
}

/**
 * The limit holds for the entry with its free texts and for its hashed form. A UTF-16 code unit takes at most three bytes
 * in UTF-8, or six in JSON. So most entries pass without counting their bytes.
 */
function bounded(recorded: Recorded): Recorded {
  const { entry, text, texts } = recorded
  if (lengthOf(recorded) * (texts === undefined ? 3 : 6) <= limits.entryBytes) return recorded
  const whole = texts === undefined ? text : JSON.stringify(entry)
  const bytes = Math.max(Buffer.byteLength(text), Buffer.byteLength(whole))
  if (bytes <= limits.entryBytes) return recorded
  throw new LockstepError(
    'LIMIT_EXCEEDED',
    `the ${entry.type} entry would be ${bytes} bytes; the limit is ${limits.entryBytes}`,
    { details: { bytes, bytes_max: limits.entryBytes } },
  )
}
