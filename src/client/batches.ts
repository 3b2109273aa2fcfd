import type { Dispatcher } from 'undici'
import { type BatchAnswer, mediaTypes, paths, wireLimits } from '../api/wire.ts'
import { limits } from '../kernel/limits.ts'
import { exchange } from './exchange.ts'
import { errorOf, unreachable } from './failures.ts'
import { linesOf, parsed, textOf } from './lines.ts'

/** How many batches are on their way at once: while the service decides one, the next is collected and sent. */
const batchesMax = 2

/** One call, as a line of a batch, and its caller. */
interface Line {
  text: string
  bytes: number
  resolve: (answer: unknown) => void
  reject: (error: unknown) => void
}

/**
 * Collects calls and sends them in batches. Its states: *idle*; *scheduled*, when a call was made and the batch is sent
 * in the next turn of the event loop, so that all calls of this turn go together; *busy*, when as many batches are on
 * their way as may be, and further calls wait until one is answered; *held*, while a stream begins.
 */
export class Batches {
  readonly #dispatcher: Dispatcher
  readonly #headers: Record<string, string>
  readonly #place: string
  #isScheduled = false
  #holds = 0
  #lines: Line[] = []
  #onTheirWay = 0

  constructor(dispatcher: Dispatcher, place: string, headers: Record<string, string>) {
    this.#dispatcher = dispatcher
    this.#headers = { ...headers, 'content-type': mediaTypes.lines, accept: mediaTypes.lines }
    this.#place = place
  }

  /** The number of calls that wait to be sent. */
  get length(): number {
    return this.#lines.length
  }

  /** Answers when the call was answered. Errors: those of the call, and LEDGER_UNAVAILABLE. */
  ask(text: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#lines.push({ text, bytes: Buffer.byteLength(text) + 1, resolve, reject })
      this.#schedule()
    })
  }

  /** Sends nothing until a promise has settled. */
  hold(until: Promise<unknown>): void {
    const release = () => {
      this.#holds -= 1
      this.#schedule()
    }
    this.#holds += 1
    until.then(release, release)
  }

  #schedule(): void {
    if (this.#isScheduled || this.#lines.length === 0) return
    if (this.#onTheirWay === batchesMax || this.#holds > 0) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      if (this.#holds === 0) this.#send(this.#taken())
      this.#schedule()
    })
  }

  /** The next lines, as many as a batch may have. */
  #taken(): Line[] {
    let [bytes, count] = [0, 0]
    for (const line of this.#lines) {
      bytes += line.bytes
      if (count === wireLimits.batchLinesMax || (count > 0 && bytes > wireLimits.batchBytes)) break
      count += 1
    }
    return this.#lines.splice(0, count)
  }

  #send(lines: Line[]): void {
    this.#onTheirWay += 1
    this.#answer(lines)
      .catch((error: unknown) => {
        for (const { reject } of lines) reject(error)
      })
      .finally(() => {
        this.#onTheirWay -= 1
        this.#schedule()
      })
  }

  /** Answers the callers of a batch as its lines arrive. Lines that do not arrive are the caller's to reject. */
  async #answer(lines: Line[]): Promise<void> {
    const body = `${lines.map(({ text }) => text).join('\n')}\n`
    const sent = {
      method: 'POST',
      path: paths.batch,
      headers: this.#headers,
      body,
      answerMillisMax: limits.answerMillisMax,
    } as const
    const answer = await exchange(this.#dispatcher, this.#place, sent)
    if (answer.status !== 200) throw errorOf(parsed(await textOf(answer.body), this.#place), this.#place)
    let answered = 0
    for await (const texts of linesOf(answer.body)) {
      for (const text of texts) settle(lines[answered++], text, this.#place)
    }
    if (answered < lines.length) throw unreachable(this.#place, 'unknown', new Error('the answer was cut off'))
  }
}

function settle(line: Line | undefined, text: string, place: string): void {
  const answer = parsed(text, place) as BatchAnswer
  if ('answer' in answer) line?.resolve(answer.answer)
  else line?.reject(errorOf(answer.problem, place))
}
