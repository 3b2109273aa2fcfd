import type { Entry } from '../kernel/entry.ts'
import { eventIdOf } from '../kernel/ids.ts'
import type { Check, Found } from '../log/check.ts'
import { differs } from '../log/corrupt.ts'
import type { Meta } from '../log/log.ts'

/**
 * Checks each entry against itself and its predecessor: its id, its time (which decreases only at a clock reset) and
 * its place in its request. Checks that entry 0 names this ledger. Errors: VERIFY_FAILED (`event_id`, `origin`,
 * `requests`, `time`).
 */
export class EntryVerification implements Check {
  readonly #meta: Meta
  #time = ''
  /** The request that the next entry continues. */
  #request: { key: string; sha256: string; actor_id: string; next: number; count: number } | undefined

  constructor(meta: Meta) {
    this.#meta = meta
  }

  entry(entry: Entry): void {
    const { event_id, seq, time } = entry
    if (seq === 0) this.#compareOrigin(entry)
    const id = eventIdOf(this.#meta.ledger_id, seq)
    if (event_id !== id) throw differs('event_id', `entry ${seq} has the id ${event_id}, not ${id}`, { seq })
    // Entries of a batch share their time, so the time is checked once per batch.
    if (time !== this.#time) this.#compareTime(entry)
    if (entry.request !== undefined || this.#request !== undefined) this.#compareRequest(entry)
  }

  /** Called after the last entry: checks that no request is incomplete. */
  end({ size }: Pick<Found, 'size'>): void {
    if (this.#request === undefined) return
    const { count, next } = this.#request
    throw differs('requests', `the last request has ${next} of its ${count} entries`, { seq: size - 1 })
  }

  #compareOrigin({ data, seq, type }: Entry): void {
    const { format, ledger_id, origin } = this.#meta
    if (type !== 'ledger.created') throw differs('origin', `entry 0 is ${type}, not ledger.created`, { seq })
    if (data.ledger_id === ledger_id && data.origin === origin && data.format === format) return
    throw differs('origin', `entry 0 names the ledger ${data.origin}, the meta row names ${origin}`, { seq })
  }

  #compareTime({ seq, time, type }: Entry): void {
    if (!timePattern.test(time)) throw differs('time', `entry ${seq} has an invalid time: ${time}`, { seq })
    if (time < this.#time && type !== 'clock.reset') {
      throw differs('time', `the time of entry ${seq} goes back from ${this.#time} to ${time}`, { seq })
    }
    this.#time = time
  }

  #compareRequest({ actor, request, seq }: Entry): void {
    const { actor_id } = actor
    const { count = 1, index = 0, key = '', sha256 = '' } = request ?? {}
    const expected = this.#request
    const isNext =
      expected === undefined
        ? index === 0
        : index === expected.next &&
          count === expected.count &&
          key === expected.key &&
          sha256 === expected.sha256 &&
          actor_id === expected.actor_id
    if (!isNext || index >= count) {
      const due = expected === undefined ? 'a new request' : `entry ${expected.next} of ${expected.count} of a request`
      throw differs('requests', `entry ${seq} is ${index} of ${count} of its request, but ${due} was expected`, { seq })
    }
    this.#request = index + 1 < count ? { key, sha256, actor_id, next: index + 1, count } : undefined
  }
}

/** A fixed-length UTC time, so that times compare as text. */
const timePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
