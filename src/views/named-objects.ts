import { objectsOf } from '../domain/aggregates.ts'
import type { NamedObject } from '../kernel/aggregate.ts'
import type { Entry } from '../kernel/entry.ts'
import type { LogReader } from '../log/log.ts'

/**
 * The entries of a range, each with the objects that it names. Cost: one pass over the entries, and one read for each
 * proposal.
 */
export async function* namedObjects(
  log: Pick<LogReader, 'entries' | 'load'>,
  from: number,
  to?: number,
): AsyncGenerator<{ entry: Entry; objects: NamedObject[] }> {
  for await (const page of log.entries(from, to)) {
    for (const entry of page) {
      const manifest = entry.type === 'turn.staged' ? String(entry.data.manifest_digest) : undefined
      const [text] = manifest === undefined ? [''] : await log.load([{ view: 'object', key: manifest }])
      yield { entry, objects: [...objectsOf(entry, () => String(text))] }
    }
  }
}
