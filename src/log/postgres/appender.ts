import { setTimeout as pause } from 'node:timers/promises'
import { LockstepError } from '../../errors.ts'
import type { Database, Session } from './database.ts'
import { databaseError, isOfConnection } from './errors.ts'
import { databaseLimits } from './limits.ts'
import { readSeat, type Seat } from './seat.ts'
import type { Done, Statement } from './statement.ts'

/** An append that was sent, and is not known to have landed. */
interface Sent {
  hasLanded: (session: Session) => Promise<boolean>
  reject: (error: unknown) => void
  resolve: (done: Done) => void
  statement: Statement
}

interface AppenderParts {
  database: Database
  /** Called with a new connection, before anything is sent on it again. It throws if this process may not write. */
  reconnected: (session: Session) => Promise<void>
  /** How long a failed connection is replaced for, before the outcome counts as unknown. */
  recoverMillisMax: number
}

/**
 * Sends appends, one after the other, without waiting for the answers to earlier ones. Its states:
 * - **connected**: what was sent is answered in order.
 * - **in doubt**: the connection failed, or did not answer in time, so it is unknown whether the last appends landed. On a
 *   new connection the same appends are sent again, in order. An append that has landed changes nothing then, because the
 *   head has moved on, and its batch shows that it is there. What the lost connection may still execute is compared with
 *   the head, too. So each append lands once or is known not to have landed.
 * - **failed**: no connection could be had in time. The outcome stays unknown, and nothing more is sent.
 */
export class Appender {
  readonly #parts: AppenderParts
  #session: Session
  #sent: Sent[] = []
  #state: 'connected' | 'in doubt' | 'failed' = 'connected'
  #failure: unknown
  #timer: NodeJS.Timeout | undefined
  #answeredAt = 0

  constructor(session: Session, parts: AppenderParts) {
    this.#parts = parts
    this.#session = session
  }

  /** `hasLanded` looks for the append on another connection. Errors: LEDGER_UNAVAILABLE (unknown), NOT_WRITER. */
  send(statement: Statement, hasLanded: Sent['hasLanded']): Promise<Done> {
    return new Promise((resolve, reject) => {
      if (this.#state === 'failed') return reject(this.#failure)
      this.#sent.push({ hasLanded, reject, resolve, statement })
      if (this.#state === 'connected') this.#write(this.#session, statement)
    })
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#state = 'failed'
    this.#failure ??= new LockstepError('LEDGER_CLOSED', 'the ledger was closed', {
      details: { outcome: 'not_applied' },
    })
    await this.#session.end()
  }

  #write(session: Session, { text, values }: Statement): void {
    this.#watch(session)
    session.query<Done>(text, values).then(
      (rows) => {
        if (session !== this.#session || this.#state !== 'connected') return
        this.#answeredAt = performance.now()
        this.#answer(rows[0])
      },
      (error: unknown) => this.#doubt(session, error),
    )
  }

  #answer(done: Done | undefined): void {
    const sent = this.#sent.shift()
    sent?.resolve(done ?? [0, 0])
  }

  /** A connection that was cut gives no error for a long time. */
  #watch(session: Session): void {
    if (this.#timer !== undefined) return
    this.#answeredAt = performance.now()
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      if (this.#sent.length === 0 || session !== this.#session || this.#state !== 'connected') return
      if (performance.now() - this.#answeredAt < databaseLimits.silenceMillis) this.#watch(session)
      else this.#doubt(session, databaseError(undefined))
    }, databaseLimits.silenceMillis).unref()
  }

  #doubt(session: Session, error: unknown): void {
    if (session !== this.#session || this.#state !== 'connected') return
    this.#state = 'in doubt'
    session.destroy()
    void this.#recover(error)
  }

  async #recover(first: unknown): Promise<void> {
    const until = performance.now() + this.#parts.recoverMillisMax
    for (let last = first; ; ) {
      try {
        await this.#resume()
        return
      } catch (error) {
        last = error
      }
      if (this.#state === 'failed') return
      if (!isOfConnection(last) || performance.now() >= until) return this.#fail(last)
      await pause(databaseLimits.pauseMillis)
    }
  }

  /** Connects again, and settles what was sent, in order. */
  async #resume(): Promise<void> {
    const session = await this.#parts.database.pipelined()
    try {
      await this.#parts.reconnected(session)
      for (let sent = this.#sent[0]; sent !== undefined; sent = this.#sent[0]) {
        const [answer = [0, 0]] = await session.query<Done>(sent.statement.text, sent.statement.values)
        const [done, nowMillis] = answer
        this.#answer(done === 0 && (await sent.hasLanded(session)) ? [1, nowMillis] : answer)
      }
      if (this.#state === 'failed') throw this.#failure
    } catch (error) {
      session.destroy()
      throw error
    }
    this.#session = session
    this.#state = 'connected'
  }

  #fail(cause: unknown): void {
    this.#state = 'failed'
    this.#failure = cause
    for (const { reject } of this.#sent.splice(0)) reject(cause)
  }
}

/** Whether the batch at a seq is of an epoch. Only one process writes in an epoch. */
export async function hasLanded(
  { query }: Session,
  batch: { epoch: number; ledgerId: string; seq: number },
): Promise<boolean> {
  const { epoch, ledgerId, seq } = batch
  const text = 'SELECT 1 FROM lockstep.batch WHERE ledger_id = $1 AND seq = $2 AND epoch = $3'
  return (await query(text, [ledgerId, seq, epoch])).length > 0
}

/** A new connection may lead to another server, with another history. Errors: NOT_WRITER. */
export async function assertSeat({ query }: Session, ledgerId: string, seat: Seat): Promise<void> {
  const row = await readSeat(query, ledgerId)
  const { system, timeline } = seat.place
  if (row?.system === system && row.timeline === timeline && row.epoch === seat.epoch) return
  throw seat.lose('the connection was lost, and the seat with it')
}
