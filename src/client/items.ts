import type { Readable } from 'node:stream'
import type { StreamEnd } from '../api/wire.ts'
import { errorOf, unreachable } from './failures.ts'
import { linesOf, parsed } from './lines.ts'
import type { OpenCall } from './open-call.ts'

/** A stream that is under way. */
interface Following {
  call: OpenCall
  /** Called once the stream is over. */
  end: () => void
  isEndless: boolean
  place: string
}

/**
 * The items of a stream, at the pace of their reader. A reader that stops early ends the request. Errors: that of the
 * last line, and LEDGER_UNAVAILABLE if the stream ends without such a line.
 */
export async function* itemsOf(
  opened: Promise<Readable>,
  { call, end, isEndless, place }: Following,
): AsyncGenerator<unknown> {
  try {
    let isWhole = false
    for await (const lines of linesOf(await opened)) {
      for (const line of lines) {
        const item = parsed(line, place) as Partial<StreamEnd>
        if ('problem' in item) throw errorOf(item.problem, place)
        if ('end' in item) isWhole = true
        else yield item
        if (call.signal.aborted) throw new Error('the signal has aborted')
      }
    }
    if (!isWhole) throw unreachable(place, 'unknown', new Error('the stream was cut off'))
  } catch (error) {
    if (!(isEndless && call.signal.aborted)) throw call.explained(error)
  } finally {
    end()
  }
}
