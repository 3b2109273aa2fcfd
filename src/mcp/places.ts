import type { Grant } from '../api/shapes/locks.ts'
import { LockstepError } from '../errors.ts'
import { onAbort } from '../kernel/abort.ts'
import { limits } from '../kernel/limits.ts'

/** How a place in line is taken and given up. */
export interface Place {
  /** What is waited for, as text. A place cannot be used for anything else. */
  what: string
  /** Waits in the line of the lock until it is granted or the signal aborts. */
  wait: (signal: AbortSignal) => Promise<Grant>
  /** Ends the grant, if there is one: it may have been made just before the line was left. */
  release: () => Promise<unknown>
}

interface Waiting extends Place {
  leaving: AbortController
  granted: Promise<Grant>
  /** The calls that wait for the answer now. */
  calls: number
  timer: NodeJS.Timeout | undefined
}

/**
 * Places in the lines of locks, by lock_id. A call of a tool is shorter than the wait for a lock can be, so a place
 * outlives the call: *taken*, while a call waits; *kept*, for a short time after the last call; *left*, when that time
 * is over or a call was aborted. A lock that is granted while the place is kept waits for the next call, and is
 * released if none comes.
 */
export class Places {
  readonly #keptMillis: number
  readonly #places = new Map<string, Waiting>()

  constructor(keptMillis: number = limits.toolPlaceMillis) {
    this.#keptMillis = keptMillis
  }

  /** How many places there are. */
  get size(): number {
    return this.#places.size
  }

  /** Whether a lock_id has a place. */
  has(lock_id: string): boolean {
    return this.#places.has(lock_id)
  }

  /**
   * Waits for a lock in its place, for at most `seconds`. Undefined if the lock was not granted by then: the place is
   * kept. Errors: ABORTED, IDEMPOTENCY_MISMATCH, LEDGER_UNAVAILABLE (too many places), those of the wait.
   */
  async take(
    lock_id: string,
    place: Place,
    within: { seconds: number; signal: AbortSignal },
  ): Promise<Grant | undefined> {
    const waiting = this.#places.get(lock_id) ?? this.#begin(lock_id, place)
    if (waiting.what !== place.what) {
      throw new LockstepError('IDEMPOTENCY_MISMATCH', 'this lock_id already waits for another lock')
    }
    waiting.calls += 1
    clearTimeout(waiting.timer)
    let granted: Grant | undefined
    try {
      granted = await settled(waiting.granted, within)
    } catch (error) {
      this.#leave(lock_id)
      throw error
    }
    waiting.calls -= 1
    if (granted !== undefined) this.drop(lock_id)
    else if (waiting.calls === 0) waiting.timer = setTimeout(() => this.#leave(lock_id), this.#keptMillis).unref()
    return granted
  }

  /** Forgets a place whose lock the caller has. */
  drop(lock_id: string): void {
    const waiting = this.#places.get(lock_id)
    if (waiting === undefined) return
    clearTimeout(waiting.timer)
    this.#places.delete(lock_id)
    waiting.leaving.abort()
  }

  /** Leaves every line. */
  close(): void {
    for (const lock_id of [...this.#places.keys()]) this.#leave(lock_id)
  }

  #begin(lock_id: string, place: Place): Waiting {
    if (this.#places.size >= limits.toolPlacesMax) {
      throw new LockstepError('LEDGER_UNAVAILABLE', `${limits.toolPlacesMax} callers wait already`, {
        details: { outcome: 'not_applied' },
        hint: 'Call again a little later, or without wait_s.',
      })
    }
    const leaving = new AbortController()
    const waiting = { ...place, calls: 0, granted: place.wait(leaving.signal), leaving, timer: undefined }
    this.#places.set(lock_id, waiting)
    return waiting
  }

  #leave(lock_id: string): void {
    const waiting = this.#places.get(lock_id)
    if (waiting === undefined) return
    this.drop(lock_id)
    const release = () => waiting.release()
    // A grant that cannot be released now ends with its lease.
    waiting.granted.then(release, release).catch(() => {})
  }
}

/** The value of a promise; undefined if it takes too long. Errors: ABORTED, those of the promise. */
function settled<T>(promise: Promise<T>, { seconds, signal }: { seconds: number; signal: AbortSignal }) {
  return new Promise<T | undefined>((resolve, reject) => {
    const aborted = () => settle(() => reject(new LockstepError('ABORTED', 'the caller gave up waiting')))
    const timer = setTimeout(() => settle(() => resolve(undefined)), seconds * 1000)
    const stopListening = onAbort(signal, aborted)
    const settle = (end: () => void) => {
      clearTimeout(timer)
      stopListening()
      end()
    }
    promise.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    )
    if (signal.aborted) aborted()
  })
}
