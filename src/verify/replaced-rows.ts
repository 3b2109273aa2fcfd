import { createWriteStream } from 'node:fs'
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { isDeepStrictEqual } from 'node:util'
import { fileError, makeFolder, syncFolder } from '../disk/durable.ts'
import { LockstepError } from '../errors.ts'
import type { KeyedLog } from '../log/keyed/log.ts'
import { decode } from '../log/keyed/rows/codec.ts'
import { kindOf, nameOfRowKey } from '../log/keyed/rows/keys.ts'

/** A row or a row of sovereign state that a rebuild changes, as JSON can hold it; null where there is none. */
interface Replaced {
  view: 'row' | 'state'
  key: string
  before: unknown
  after: unknown
}

/**
 * Writes what a rebuild replaces to a file, one JSON line for each row of the generation `before` that differs from the
 * one in `after`. It is durable when this resolves. Returns the number of lines; no file is made for none. Errors:
 * DISK_FULL, FILE_DENIED, FILE_FAILED. Cost: one pass over the rows of both generations.
 */
export async function keepReplaced(log: KeyedLog, [before, after]: [number, number], path: string): Promise<number> {
  let lines = 0
  const text = async function* () {
    for await (const replaced of replacedRows(log, before, after)) {
      lines += 1
      yield `${JSON.stringify(replaced)}\n`
    }
  }
  const all = text()
  const first = await all.next()
  if (first.done === true) return 0
  const whole = async function* () {
    yield first.value
    yield* all
  }
  try {
    makeFolder(dirname(path), 0o700)
    await pipeline(Readable.from(whole()), createWriteStream(path, { flags: 'wx', flush: true, mode: 0o600 }))
    syncFolder(dirname(path))
  } catch (error) {
    throw fileError(error, `writing ${path}`)
  }
  return lines
}

async function* replacedRows(log: KeyedLog, before: number, after: number): AsyncGenerator<Replaced> {
  for (const view of ['row', 'state'] as const) {
    // Both generations have their keys in the same order, so one pass over both is enough.
    const [olds, news] = [pairsOf(log, before, view), pairsOf(log, after, view)]
    let [old, now] = [await olds.next(), await news.next()]
    while (old.value !== undefined || now.value !== undefined) {
      const order = orderOf(old.value, now.value)
      const [was, is] = [order <= 0 ? old.value : undefined, order >= 0 ? now.value : undefined]
      const contents = { before: contentOf(was), after: contentOf(is) }
      const [key] = was ?? is ?? []
      const isSame = was !== undefined && is !== undefined && isDeepStrictEqual(contents.before, contents.after)
      if (key !== undefined && !isSame) yield { view, key: nameOfRowKey(key), ...contents }
      if (order <= 0) old = await olds.next()
      if (order >= 0) now = await news.next()
    }
  }
}

type Pair = readonly [key: Uint8Array, value: Uint8Array]

async function* pairsOf(log: KeyedLog, generation: number, view: 'row' | 'state'): AsyncGenerator<Pair, undefined> {
  for await (const page of log.generations.pairs(generation)) {
    for (const pair of page) if (kindOf(pair[0]) === view) yield pair
  }
  return undefined
}

/** Which of two pairs comes first, by their keys without the byte of the generation. */
function orderOf(one: Pair | undefined, other: Pair | undefined): number {
  if (one === undefined || other === undefined) return one === undefined ? 1 : -1
  return Buffer.compare(one[0].subarray(2), other[0].subarray(2))
}

/** The content of a row; the bytes of a damaged one, in base64. */
function contentOf(pair: Pair | undefined): unknown {
  if (pair === undefined) return null
  const [key, value] = pair
  try {
    return decode(key, value)
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    return { damaged: Buffer.from(value).toString('base64') }
  }
}
