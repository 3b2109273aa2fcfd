import { erasedBy } from '../domain/aggregates.ts'
import type { ErasedWrite } from '../log/erased.ts'
import type { Recorded } from '../log/log.ts'

/** A readable entry, and its canonical text. */
export interface Readable extends Recorded {
  /** The objects that it names: their texts, or the seqs of the entries that erased them. */
  objects: readonly (readonly [digest: string, text: string | number])[]
}

/** Whether the text of an object is known. */
export const isText = (pair: Readable['objects'][number]): pair is [string, string] => typeof pair[1] === 'string'

/** The marks of erased objects. The entry that erased one may lie behind the gap, but its text is gone all the same. */
export function erasedIn(read: readonly Readable[]): ErasedWrite[] {
  const erased = new Map<string, string | number>()
  for (const { entry, objects } of read) {
    for (const [digest, value] of objects) erased.set(digest, value)
    for (const digest of erasedBy(entry)) erased.set(digest, entry.seq)
  }
  return [...erased].flatMap(([key, value]) => (typeof value === 'number' ? [{ view: 'erased', key, value }] : []))
}

/** The approximate size of entries with their objects. */
export function bytesOf(read: readonly Readable[]): number {
  return read.reduce(
    (sum, { objects, text }) =>
      objects.filter(isText).reduce((more, [, { length }]) => more + length, sum + text.length),
    0,
  )
}
