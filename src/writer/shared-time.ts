import { evolveSeat, type SeatState, seatStream } from '../domain/log/seat.ts'
import type { Now } from '../kernel/clock.ts'
import type { Row } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'
import type { Key, LogReader } from '../log/log.ts'
import type { SharedClock } from '../log/log-parts.ts'

/**
 * The time of a ledger that several machines write in turn: its engine's clock, which never goes back behind an entry,
 * and the changes of the writer, which extend leases (ADR 0075).
 */
export class SharedTime {
  readonly #clock: SharedClock
  readonly #machine: () => Now
  #lastMillis: number
  #seat: SeatState | undefined

  private constructor(
    clock: SharedClock,
    machine: () => Now,
    { last, seat }: { last: Entry | undefined; seat: unknown },
  ) {
    this.#clock = clock
    this.#machine = machine
    this.#lastMillis = last === undefined ? 0 : Date.parse(last.time)
    this.#seat = seat as SeatState | undefined
  }

  /** Errors: LEDGER_CORRUPT, LEDGER_UNAVAILABLE. Cost: one load. */
  static async of(log: LogReader, clock: SharedClock, machine: () => Now): Promise<SharedTime> {
    const { size } = log.head()
    const keys: Key[] = [{ view: 'row', key: seatStream }]
    if (size > 0) keys.push({ view: 'entry', key: size - 1 })
    const [row, last] = (await log.load(keys)) as [Row | undefined, Entry | undefined]
    return new SharedTime(clock, machine, { last, seat: row?.state })
  }

  readonly now = (): Now => {
    const millis = Math.max(this.#lastMillis, this.#clock.millis())
    this.#lastMillis = millis
    return {
      host_id: this.#machine().host_id,
      lease_clock: { boot_id: this.#clock.boot_id, boot_ms: millis },
      seat_changes: this.#seat?.changes ?? [],
      wall_ms: millis,
    }
  }

  /** Takes in published entries. */
  published(entries: readonly Entry[]): void {
    for (const entry of entries) if (entry.type === 'seat.taken') this.#seat = evolveSeat(this.#seat, entry)
    this.#lastMillis = Math.max(this.#lastMillis, Date.parse(entries.at(-1)?.time ?? ''))
  }
}
