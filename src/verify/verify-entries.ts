import { isDeepStrictEqual } from 'node:util'
import { digestIn } from '../domain/log/configuration.ts'
import type { RestoredData, UpgradedData } from '../domain/log/origin.ts'
import type { Entry } from '../kernel/entry.ts'
import { eventIdOf } from '../kernel/ids.ts'
import type { Check, Found } from '../log/check.ts'
import { differs } from '../log/corrupt.ts'
import type { Meta, Restored } from '../log/log.ts'
import { toHex } from '../merkle/hash.ts'

/**
 * Checks each entry against itself and its predecessor: its id, its time (which decreases only at a clock reset), its
 * place in its request, and what a grant adds to its seq. Checks that entry 0 and the entries of restores name this
 * ledger, that each new format follows from the one before it, and that decisions name the configuration in force.
 * Errors: VERIFY_FAILED (`config`, `event_id`, `origin`, `requests`, `time`, `tokens`).
 */
export class EntryVerification implements Check {
  readonly #meta: Meta
  /** The name and the format of the ledger up to the last entry read, its restores so far, and its new formats. */
  #ledger: Omit<Meta, 'restored'>
  readonly #restored: Restored[] = []
  readonly #upgrades: UpgradedData[] = []
  #time = ''
  /** The digest of the configuration in force after the entries read so far. */
  #config: string | undefined
  /** The request that the next entry continues. */
  #request: { key: string; sha256: string; actor_id: string; next: number; count: number } | undefined

  constructor(meta: Meta) {
    this.#meta = meta
    this.#ledger = { format: meta.format, ledger_id: meta.ledger_id, origin: meta.origin }
  }

  /** Who the ledger is after the entries read so far. */
  get identity(): Meta {
    return this.#restored.length === 0 ? this.#ledger : { ...this.#ledger, restored: [...this.#restored] }
  }

  entry(entry: Entry): void {
    const { event_id, seq, time } = entry
    if (seq === 0) this.#compareOrigin(entry)
    if (entry.type === 'ledger.restored') this.#restore(entry as Entry<'ledger.restored', RestoredData>)
    if (entry.type === 'ledger.upgraded') this.#upgrade(entry as Entry<'ledger.upgraded', UpgradedData>)
    if (entry.type === 'lock.acquired') this.#compareToken(entry)
    if (entry.type === 'run.decided') this.#compareConfig(entry, entry.data.config_sha256)
    if (entry.type === 'config.loaded') this.#compareConfig(entry, entry.data.previous ?? undefined)
    this.#config = digestIn(entry) ?? this.#config
    const id = eventIdOf(this.#ledger.ledger_id, seq)
    if (event_id !== id) throw differs('event_id', `entry ${seq} has the id ${event_id}, not ${id}`, { seq })
    // Entries of a batch share their time, so the time is checked once per batch.
    if (time !== this.#time) this.#compareTime(entry)
    if (entry.request !== undefined || this.#request !== undefined) this.#compareRequest(entry)
  }

  /**
   * Called after the last entry: checks that no request is incomplete, that the meta row names this ledger and its
   * format, and that entries of new formats state the tree before them.
   */
  end({ rootAt, size }: Pick<Found, 'rootAt' | 'size'>): void {
    this.#compareMeta(size)
    for (const { root, size: at } of this.#upgrades) {
      if (toHex(rootAt(at)) === root) continue
      throw differs('origin', `entry ${at} states another root for the tree before it`, { seq: at })
    }
    this.endRequest(size)
  }

  /** Checks that no request is incomplete after the entries read so far. */
  endRequest(size: number): void {
    if (this.#request === undefined) return
    const { count, next } = this.#request
    throw differs('requests', `the last request has ${next} of its ${count} entries`, { seq: size - 1 })
  }

  #compareOrigin({ data, seq, type }: Entry): void {
    const { ledger_id, origin } = this.#meta
    if (type !== 'ledger.created') throw differs('origin', `entry 0 is ${type}, not ledger.created`, { seq })
    this.#ledger = { format: Number(data.format), ledger_id: String(data.ledger_id), origin: String(data.origin) }
    const isSame = data.ledger_id === ledger_id && data.origin === origin
    if (isSame || this.#meta.restored !== undefined) return
    throw differs('origin', `entry 0 names the ledger ${data.origin}, the meta row names ${origin}`, { seq })
  }

  #restore({ data, seq }: Entry<'ledger.restored', RestoredData>): void {
    const { format, ledger_id, origin, previous, token_offset } = data
    const before = this.#ledger
    const isNext =
      previous.ledger_id === before.ledger_id && previous.origin === before.origin && format === before.format
    if (!isNext || previous.size !== seq || token_offset <= this.#tokenOffset) {
      throw differs('origin', `entry ${seq} does not continue the ledger ${this.#ledger.origin} of ${seq} entries`, {
        seq,
      })
    }
    this.#ledger = { format, ledger_id, origin }
    this.#restored.push({ seq, token_offset })
  }

  #upgrade({ data, seq }: Entry<'ledger.upgraded', UpgradedData>): void {
    const { from, size, to } = data
    if (from !== this.#ledger.format || to <= from || size !== seq) {
      throw differs('origin', `entry ${seq} does not raise the format ${this.#ledger.format} of ${seq} entries`, {
        seq,
      })
    }
    this.#ledger = { ...this.#ledger, format: to }
    this.#upgrades.push(data)
  }

  get #tokenOffset(): number {
    return this.#restored.at(-1)?.token_offset ?? 0
  }

  #compareToken({ data, seq }: Entry): void {
    const { token_offset = 0 } = data
    if (token_offset === this.#tokenOffset) return
    throw differs('tokens', `the token of entry ${seq} adds ${token_offset} to its seq, not ${this.#tokenOffset}`, {
      seq,
    })
  }

  /** A decision, or the next configuration, names the configuration in force before it. Older entries name none. */
  #compareConfig({ seq }: Entry, named: unknown): void {
    if (named === undefined || named === this.#config) return
    throw differs('config', `entry ${seq} names the configuration ${named}, but ${this.#config} was in force`, { seq })
  }

  #compareMeta(size: number): void {
    const { format, ledger_id, origin, restored = [] } = this.#meta
    const { format: raised, ...named } = this.#ledger
    if (size > 0 && raised !== format) {
      throw differs('origin', `the entries give the format ${raised}, the meta row says ${format}`, { seq: 0 })
    }
    const isSame = size === 0 || (named.ledger_id === ledger_id && named.origin === origin)
    if (isSame && isDeepStrictEqual(restored, this.#restored)) return
    throw differs('origin', `the entries name the ledger ${this.#ledger.origin}, the meta row names ${origin}`, {
      seq: this.#restored.at(-1)?.seq ?? 0,
    })
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
