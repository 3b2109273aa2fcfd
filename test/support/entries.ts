import type { Entry } from '../../src/kernel/entry.ts'
import type { LocalLedger } from '../../src/ledger.ts'

/** The entries of a ledger from a seq on. */
export async function entriesOf(ledger: LocalLedger, from = 0): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const entry of ledger.log.read({ from })) entries.push(entry)
  return entries
}

/** The types of the entries that some work appends. */
export async function typesAppended(ledger: LocalLedger, work: () => Promise<unknown>): Promise<string[]> {
  const from = (await ledger.head.get()).size
  await work()
  return (await entriesOf(ledger, from)).map(({ type }) => type)
}

/** The newest entry of a type. */
export async function lastOf(ledger: LocalLedger, type: string): Promise<Entry> {
  const entry = (await entriesOf(ledger)).findLast((found) => found.type === type)
  if (entry === undefined) throw new Error(`there is no ${type}`)
  return entry
}

/** Reads the first item of a stream. */
export function nextOf<T>(stream: AsyncIterable<T>): Promise<IteratorResult<T>> {
  return stream[Symbol.asyncIterator]().next()
}
