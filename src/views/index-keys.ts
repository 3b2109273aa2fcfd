/**
 * The layout of the index, by the tails of its keys:
 *
 * - `c`: the number of entries it was derived from;
 * - `p`, a letter, a word, 0, a block: a bitmap of the block's 256 entries that have this word;
 * - `r`, a letter, a word, 0, the creation seq, the run_id: a run with this word, in the order of creation;
 * - `n`, the run_id: the run's creation seq.
 *
 * Words contain no control characters, so the 0 ends them unambiguously.
 */

/** The members by which entries are found. */
export const entryLetters = { action_type: 'k', actor_id: 'a', case_id: 'c', outcome: 'o', type: 't' } as const
export type EntryWord = keyof typeof entryLetters

/** The members by which runs are found. `any` is a word that all runs have. */
const runLetters = {
  actor_id: 'a',
  any: '*',
  case_id: 'c',
  lane_id: 'l',
  root_run_id: 'r',
  run_kind: 'k',
  status: 's',
} as const
export type RunWord = keyof typeof runLetters

export const blockEntries = 256
const numberBytes = 6

export const cursorTail = Buffer.from('c')

export function postingTail(word: EntryWord, value: string, block: number): Buffer {
  return Buffer.concat([postingStem(word, value), numbered(block)])
}

function postingStem(word: EntryWord, value: string): Buffer {
  return Buffer.from(`p${entryLetters[word]}${value}\0`)
}

export function blockOfPosting(tail: Buffer): number {
  return numberAt(tail, tail.length - numberBytes)
}

/** The tail of a run's row under a word. The place is the seq of the run's creation and its id. */
export function runTail(word: RunWord, value: string, place: Buffer): Buffer {
  return Buffer.concat([runStem(word, value), place])
}

function runStem(word: RunWord, value: string): Buffer {
  return Buffer.from(`r${runLetters[word]}${value}\0`)
}

export function placeOf(seq: number, runId: string): Buffer {
  return Buffer.concat([numbered(seq), Buffer.from(runId)])
}

/** The place at the end of a run's tail under a word. */
export function placeIn(tail: Buffer, word: RunWord, value: string): Buffer {
  return tail.subarray(runStem(word, value).length)
}

export function runIdOfPlace(place: Buffer): string {
  return place.toString('utf8', numberBytes)
}

/** Whether a row may still be deleted: rows of runs that are created or running. */
export function isMovable(tail: Buffer): boolean {
  return [createdStem, runningStem].some((stem) => tail.subarray(0, stem.length).equals(stem))
}

const createdStem = runStem('status', 'created')
const runningStem = runStem('status', 'running')

/** The tail of the row that holds a run's creation seq. */
export function creationTail(runId: string): Buffer {
  return Buffer.from(`n${runId}`)
}

export function numbered(number: number): Buffer {
  const bytes = Buffer.allocUnsafe(numberBytes)
  bytes.writeUIntBE(number, 0, numberBytes)
  return bytes
}

export function numberAt(bytes: Buffer, at = 0): number {
  return bytes.readUIntBE(at, numberBytes)
}

/**
 * Half-open ranges: the postings of a word in some blocks, and the runs of a word from a place up to a creation seq.
 */
export function postingRange(word: EntryWord, value: string, from: number, to: number): [Buffer, Buffer] {
  return [postingTail(word, value, from), postingTail(word, value, to)]
}
export function runRange(word: RunWord, value: string, from: Buffer, toSeq: number): [Buffer, Buffer] {
  return [runTail(word, value, from), runTail(word, value, numbered(toSeq))]
}
