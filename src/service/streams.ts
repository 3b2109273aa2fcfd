import type { ServerResponse } from 'node:http'
import { mediaTypes } from '../api/wire.ts'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import type { Exchange } from './exchange.ts'
import { notBegun } from './problem.ts'

interface Stream {
  /** Server-sent events, or JSON Lines. */
  type: 'events' | 'lines'
  /** Whether the stream ends only when its reader leaves or the service closes. Its head is sent before any item. */
  isEndless: boolean
  /** The items, which end when the signal aborts. */
  items: (signal: AbortSignal) => AsyncIterable<unknown>
}

/**
 * Sends the items of a stream at the pace of its reader. Not more than one buffer of the socket waits in memory. A
 * reader that takes nothing for 30 s is cut off. The last line is `{"end":true}` or a problem; a stream without either
 * was cut off. An error before the first item of a stream with an end is an answer of its own.
 */
export async function sendStream(exchange: Exchange, { isEndless, items, type }: Stream): Promise<void> {
  const { outgoing } = exchange
  if (exchange.incoming.method === 'HEAD') return exchange.send(200, mediaTypes[type], '')
  const iterator = items(exchange.signal({ untilDrain: isEndless }))[Symbol.asyncIterator]()
  const lines = linesOf[type]
  const first = isEndless ? undefined : await iterator.next()
  exchange.begin(mediaTypes[type])
  const pings = type === 'events' ? setInterval(() => ping(outgoing), limits.pingMillis) : undefined
  try {
    for (let next = first ?? (await iterator.next()); next.done !== true; next = await iterator.next()) {
      if (outgoing.write(lines.item(next.value))) continue
      if (outgoing.destroyed || !(await hasDrained(outgoing))) {
        outgoing.destroy()
        return
      }
    }
    outgoing.end(lines.end())
  } catch (error) {
    const isLedgersEnd = error instanceof LockstepError && error.code === 'LEDGER_CLOSED' && exchange.isDraining
    const told = isLedgersEnd ? notBegun('the service closes', 'Read on from the last item that arrived.') : error
    outgoing.end(lines.problem(exchange.problem(told)))
  } finally {
    clearInterval(pings)
    await iterator.return?.()
  }
}

const linesOf = {
  lines: {
    item: (item: unknown) => `${JSON.stringify(item)}\n`,
    end: () => '{"end":true}\n',
    problem: (problem: object) => `${JSON.stringify({ problem })}\n`,
  },
  events: {
    // An entry has a seq, after which a reader can resume.
    item: (item: unknown) => {
      const { seq } = Object(item) as { seq?: unknown }
      return `${seq === undefined ? '' : `id: ${seq}\n`}data: ${JSON.stringify(item)}\n\n`
    },
    end: () => `retry: ${retryMillis}\nevent: end\ndata: {"end":true}\n\n`,
    problem: (problem: object) => `event: problem\ndata: ${JSON.stringify({ problem })}\n\n`,
  },
}

const retryMillis = 1_000

/** A comment that keeps an idle connection open. A reader that is behind needs none. */
function ping(outgoing: ServerResponse): void {
  if (!outgoing.writableNeedDrain) outgoing.write(':\n\n')
}

/** Resolves with false if the reader took nothing for too long, or left. */
function hasDrained(outgoing: ServerResponse): Promise<boolean> {
  return new Promise((resolve) => {
    const finish = (isDrained: boolean) => {
      clearTimeout(timer)
      outgoing.off('drain', drained).off('close', left)
      resolve(isDrained)
    }
    const drained = () => finish(true)
    const left = () => finish(false)
    const timer = setTimeout(left, limits.streamWriteMillisMax)
    outgoing.once('drain', drained).once('close', left)
  })
}
