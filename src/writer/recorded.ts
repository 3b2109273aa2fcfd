import { textPlacesOf } from '../domain/free-texts.ts'
import type { Entry } from '../kernel/entry.ts'
import { committedData } from '../log/free-texts.ts'
import type { Recorded } from '../log/log.ts'
import type { Disclosure } from '../merkle/commitment.ts'

/** What is recorded of an entry. From format 2 on, the hashed text has commitments in place of free texts (ADR 0068). */
export function recordedOf(entry: Entry, format: number): Recorded {
  const places = format < 2 ? undefined : textPlacesOf(entry.type)
  if (places === undefined) return { entry, text: JSON.stringify(entry) }
  const texts: Disclosure[] = []
  const data = committedData(entry.data, places, texts)
  if (texts.length === 0) return { entry, text: JSON.stringify(entry) }
  return { entry, text: JSON.stringify({ ...entry, data }), texts }
}
