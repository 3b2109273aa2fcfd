/**
 * How the index is laid out, by the tails of its keys:
 *
 * - `c`: how many entries it was derived from;
 * - `p`, a letter, a word, 0, a block: which of the block's 256 entries have that word, a bit each;
 * - `r`, a letter, a word, 0, the seq of its creation, the run_id: a run of that word, in the order of creation;
 * - `n`, the run_id: the seq of its creation.
 *
 * Words hold no control characters, so that the 0 ends them.
 */

/** What entries are found by. */
export const entryLetters = { action_type: 'k', actor_id: 'a', case_id: 'c', outcome: 'o', type: 't' } as const
export type EntryWord = keyof typeof entryLetters

/** What runs are found by; `any` is a word that all have. */
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

/** A run's place in every list: the seq of its creation and its id. */
export function runTail(word: RunWord, value: string, place: Buffer): Buffer {
  return Buffer.concat([runStem(word, value), place])
}

function runStem(word: RunWord, value: string): Buffer {
  return Buffer.from(`r${runLetters[word]}${value}\0`)
}

export function placeOf(seq: number, runId: string): Buffer {
  return Buffer.concat([numbered(seq), Buffer.from(runId)])
}

/** The place that ends the tail of a run under a word. */
export function placeIn(tail: Buffer, word: RunWord, value: string): Buffer {
  return tail.subarray(runStem(word, value).length)
}

export function runIdOfPlace(place: Buffer): string {
  return place.toString('utf8', numberBytes)
}

/** Whether a row may still go: that of a run in a state that it can leave. */
export function isMovable(tail: Buffer): boolean {
  return [createdStem, runningStem].some((stem) => tail.subarray(0, stem.length).equals(stem))
}

const createdStem = runStem('status', 'created')
const runningStem = runStem('status', 'running')

/** Where a run's seq is kept. */
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

/** Half-open: the postings of a word in some blocks, the runs of a word from one place up to the creations of a seq. */
export function postingRange(word: EntryWord, value: string, from: number, to: number): [Buffer, Buffer] {
  return [postingTail(word, value, from), postingTail(word, value, to)]
}
export function runRange(word: RunWord, value: string, from: Buffer, toSeq: number): [Buffer, Buffer] {
  return [runTail(word, value, from), runTail(word, value, numbered(toSeq))]
}
