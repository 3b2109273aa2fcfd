import { LockstepError, messageOf } from '../errors.ts'
import type { WithLedger } from './context.ts'
import { say } from './output.ts'

/** Whether a run has ended behind the back of who works in it. */
export function isLost(error: unknown): boolean {
  return (
    error instanceof LockstepError &&
    ['RUN_LEASE_EXPIRED', 'RUN_NOT_ACTIVE', 'INVALID_STATE_TRANSITION'].includes(error.code)
  )
}

/**
 * Keeps a run's lease alive, at a third of it. A beat that fails is tried again with the next; where the run has ended,
 * or none came through for a whole lease, it is lost.
 */
export class Heart {
  readonly lost: Promise<void>
  /** Called with each beat. */
  onBeat: () => void = () => {}
  readonly #timer: NodeJS.Timeout
  #deadline: NodeJS.Timeout | undefined
  #beat: Promise<unknown> = Promise.resolve()
  #lose: () => void = () => {}

  /** `began`: when the start of the lease was asked for, on this process's own clock. */
  constructor(
    runId: string,
    { began, leaseSeconds, withLedger }: { began: number; leaseSeconds: number; withLedger: WithLedger },
  ) {
    const leaseMillis = leaseSeconds * 1000
    this.lost = new Promise((resolve) => {
      this.#lose = resolve
    })
    this.#armDeadline(began + leaseMillis)
    this.#timer = setInterval(() => {
      this.onBeat()
      this.#beat = this.#beat.then(async () => {
        const asked = performance.now()
        try {
          await withLedger((ledger) => ledger.runs.heartbeat({ run_id: runId }))
          this.#armDeadline(asked + leaseMillis)
        } catch (error) {
          say(`the run could not be kept alive: ${messageOf(error)}`)
          if (isLost(error)) this.#lose()
        }
      })
    }, leaseMillis / 3)
  }

  /** Takes no more beats, and waits for one under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    clearTimeout(this.#deadline)
    await this.#beat
    clearTimeout(this.#deadline)
  }

  #armDeadline(at: number): void {
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(this.#lose, at - performance.now())
  }
}
