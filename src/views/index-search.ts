import { limits } from '../kernel/limits.ts'
import type { Key, Log } from '../log/log.ts'
import {
  blockEntries,
  blockOfPosting,
  creationTail,
  type EntryWord,
  numberAt,
  numbered,
  placeIn,
  postingRange,
  type RunWord,
  runIdOfPlace,
  runRange,
  runTail,
} from './index-keys.ts'

/** The part of a log that searches read. */
export type IndexedLog = Pick<Log, 'index' | 'load'>

type Words<Word extends string> = Partial<Record<Word, string | undefined>>

/**
 * Pages of seqs in [from, to) whose entries have all the words, in order. For the last, incomplete block all seqs are
 * returned, because callers check each entry anyway. Cost: a scan of one row per 256 entries and word, in growing
 * steps, so that a page of frequent words is cheap.
 */
export async function* seqsOf(
  log: IndexedLog,
  words: Words<EntryWord>,
  { from, to }: { from: number; to: number },
): AsyncGenerator<number[]> {
  const asked = given(words)
  const wholeTo = Math.floor(to / blockEntries)
  let block = Math.min(wholeTo, Math.floor(from / blockEntries))
  for (let step = stepMin; block < wholeTo; step = Math.min(step * 4, limits.indexBlocksPerStep)) {
    const end = Math.min(wholeTo, block + step)
    const found = await blocksOf(log, asked, [block, end])
    const seqs = [...found].flatMap(([at, bits]) => seqsIn(at, bits)).filter((seq) => seq >= from)
    if (seqs.length > 0) yield seqs
    block = end
  }
  const rest = Math.max(from, wholeTo * blockEntries)
  if (rest < to) yield Array.from({ length: to - rest }, (_, at) => rest + at)
}

const stepMin = 16

/** The bits that all words have in common, by block. */
async function blocksOf(
  log: IndexedLog,
  asked: readonly [EntryWord, string][],
  [from, to]: [number, number],
): Promise<Map<number, Buffer>> {
  let common: Map<number, Buffer> | undefined
  for (const [word, value] of asked) {
    const blocks = new Map<number, Buffer>()
    for await (const page of log.index.pages(...postingRange(word, value, from, to))) {
      for (const [tail, bits] of page) {
        const block = blockOfPosting(tail)
        const others = common === undefined ? bits : common.get(block)
        if (others !== undefined) blocks.set(block, both(bits, others))
      }
    }
    common = blocks
  }
  return common ?? new Map()
}

function both(bits: Buffer, others: Buffer): Buffer {
  return Buffer.from(bits.map((byte, at) => byte & (others[at] ?? 0)))
}

function seqsIn(block: number, bits: Buffer): number[] {
  const seqs: number[] = []
  for (let at = 0; at < blockEntries; at += 1) {
    if (((bits[at >> 3] ?? 0) >> (at & 7)) & 1) seqs.push(block * blockEntries + at)
  }
  return seqs
}

/** Limits a search for runs: listed after a given run, created in [from, to). */
export interface RunBounds {
  after?: string | undefined
  from: number
  to: number
}

/** The seq at which a run was created. Cost: one read. */
export async function creationOf(log: IndexedLog, runId: string): Promise<number | undefined> {
  const [stored] = await log.load([{ view: 'index', key: creationTail(runId) }])
  return stored === undefined ? undefined : numberAt(Buffer.from(stored as Uint8Array))
}

/**
 * Pages of ids of runs that have all the words, in the order of creation. It scans the runs of the rarest word and
 * looks up the other words for each. Cost: one row per run of that word, and one read per further word.
 */
export async function* runsOf(
  log: IndexedLog,
  words: Words<RunWord>,
  { after, from, to }: RunBounds,
): AsyncGenerator<string[]> {
  const behind = after === undefined ? -1 : ((await creationOf(log, after)) ?? -1)
  const start = numbered(Math.max(from, behind + 1))
  const asked = given(words)
  const [[word, value], others] = await narrowest(log, asked.length === 0 ? [['any', '']] : asked, [start, to])
  for await (const page of log.index.pages(...runRange(word, value, start, to))) {
    const places = page.map(([tail]) => placeIn(tail, word, value))
    const wanted = places.flatMap((place) =>
      others.map((other): Key => ({ view: 'index', key: runTail(...other, place) })),
    )
    const stored = await log.load(wanted)
    const found = places.filter((_, at) => others.every((_, other) => stored[at * others.length + other] !== undefined))
    yield found.map(runIdOfPlace)
  }
}

type WantedWord = [RunWord, string]

/** Finds the rarest word. All words are counted in parallel, in growing steps, until one ends. */
async function narrowest(
  log: IndexedLog,
  asked: readonly WantedWord[],
  [start, to]: [Buffer, number],
): Promise<[WantedWord, WantedWord[]]> {
  for (let most = countMin; asked.length > 1; most *= 8) {
    for (const [at, [word, value]] of asked.entries()) {
      let count = 0
      for await (const page of log.index.pages(...runRange(word, value, start, to), most)) count += page.length
      if (count < most) return [asked[at] as WantedWord, asked.toSpliced(at, 1)]
    }
  }
  return [asked[0] as WantedWord, []]
}

const countMin = 256

function given<Word extends string>(words: Words<Word>): [Word, string][] {
  return Object.entries(words).filter((pair): pair is [Word, string] => pair[1] !== undefined)
}
