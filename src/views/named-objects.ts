import { objectsOf } from '../domain/aggregates.ts'
import type { NamedObject } from '../kernel/aggregate.ts'
import type { Entry } from '../kernel/entry.ts'
import type { LogReader } from '../log/log.ts'

const sliceMillis = 5

/**
 * The entries of a range, each with the objects that it names. Other work runs in between. Cost: one pass over the
 * entries, and one read for each proposal.
 */
export async function* namedObjects(
  log: Pick<LogReader, 'entries' | 'load'>,
  from: number,
  to?: number,
): AsyncGenerator<{ entry: Entry; objects: NamedObject[] }> {
  let sliceEnds = performance.now() + sliceMillis
  for await (const page of log.entries(from, to)) {
    for (const entry of page) {
      const manifest = entry.type === 'turn.staged' ? String(entry.data.manifest_digest) : undefined
      const [text] = manifest === undefined ? [''] : await log.load([{ view: 'object', key: manifest }])
      yield { entry, objects: [...objectsOf(entry, () => String(text))] }
      if (performance.now() < sliceEnds) continue
      await new Promise(setImmediate)
      sliceEnds = performance.now() + sliceMillis
    }
  }
}
