import { join } from 'node:path'
import type { Code } from '../../src/errors.ts'
import { LockstepError } from '../../src/errors.ts'
import type { Now } from '../../src/kernel/clock.ts'
import { defaultConfig } from '../../src/kernel/config.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { KeyedLog } from '../../src/log/keyed/log.ts'
import type { Store, StoreBatch } from '../../src/log/keyed/store.ts'
import { openStore } from '../../src/log/level/store.ts'
import { Receipts } from '../../src/views/receipts.ts'
import { Views } from '../../src/views/views.ts'
import { ConfigInForce } from '../../src/writer/config-in-force.ts'
import { Sequencer } from '../../src/writer/sequencer.ts'
import type { Submission } from '../../src/writer/submission.ts'
import { temporaryRoot, testActor, withLedger } from '../support/ledger.ts'

/** A clock that stands still until told otherwise. It starts after the real one, so that `time` follows it at once. */
export class StageClock {
  wall = Date.UTC(2040, 0, 2, 3, 4, 5)
  boot = 1_000_000

  readonly now = (): Now => ({
    wall_ms: this.wall,
    lease_clock: { boot_id: 'stage-boot', boot_ms: this.boot },
    host_id: 'stage-host',
  })

  pass(millis: number, wallMillis = millis): void {
    this.boot += millis
    this.wall += wallMillis
  }
}

/** What a store does with its next write, and after that with all further ones. */
export type Fault = 'before' | 'after'

/** A store whose writes wait, or fail before or after they persist, when a test says so. Every batch is kept. */
export class FaultyStore {
  readonly batches: StoreBatch[] = []
  /** Thrown by a write that fails; LevelDB's own words for a full disk, for one. */
  error = new Error('IO error: injected by the test')
  #faultAt: number | undefined
  #fault: Fault = 'before'
  #gate: Promise<void> | undefined
  #open = () => {}

  readonly wrap = (store: Store): Store => ({
    ...store,
    get: (key) => this.get(key, store),
    write: async (batch) => {
      this.batches.push(batch)
      await this.#gate
      if (this.#faultAt !== this.batches.length) return store.write(batch)
      if (this.#fault === 'after') await store.write(batch)
      throw this.error
    },
  })

  /** What reading a key gives; a test that damages bytes replaces it. */
  get = (key: Uint8Array, store: Store): Uint8Array | undefined => store.get(key)

  /** Lets the write after `good` more ones fail. */
  failAfter(good: number, fault: Fault): void {
    this.#faultAt = this.batches.length + good + 1
    this.#fault = fault
  }

  /** Holds every write open until the function it returns is called. */
  hold(): () => void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve
    })
    return () => {
      this.#gate = undefined
      this.#open()
    }
  }
}

/** `withLedger`, with errors that uvu can print: it takes an error's `details` for text and ends in silence. */
export const withStage: typeof withLedger = (work, options) => readable(withLedger(work, options))

async function readable<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    throw new Error(`${error.code}: ${error.message} ${JSON.stringify(error.details)}`, { cause: error })
  }
}

/** A sequencer over a log of its own, without API, files and reactors. */
export interface Bare {
  log: KeyedLog
  published: Entry[]
  sequencer: Sequencer
  submit: (command: Submission['command'], more?: Partial<Submission>) => ReturnType<Sequencer['submit']>
}

/** For what API, files and reactors cannot bring about. */
export function withBareSequencer(work: (bare: Bare) => Promise<void>, clock = new StageClock()): Promise<void> {
  const wholeWork = async () => {
    const { close, ...bare } = await bareSequencer(clock)
    try {
      await work(bare)
    } finally {
      await close()
    }
  }
  return readable(wholeWork())
}

async function bareSequencer(clock: StageClock): Promise<Bare & { close: () => Promise<void> }> {
  const store = await openStore(join(temporaryRoot(), 'ledger'), { create: true })
  const log = await KeyedLog.create(store, { ledger_id: 'testledger00', origin: 'lockstep.test/bare' }, true)
  const published: Entry[] = []
  const sequencer = new Sequencer({
    log,
    views: new Views(log),
    receipts: new Receipts(log),
    config: new ConfigInForce(defaultConfig),
    forked: () => undefined,
    now: clock.now,
    cursors: () => ({}),
    published: (entries) => published.push(...entries),
  })
  return {
    log,
    published,
    sequencer,
    submit: (command, more = {}) => sequencer.submit({ command, actor: testActor, ...more }),
    close: async () => {
      await sequencer.close()
      await log.close()
    },
  }
}

/** The refusal a promise ends with; anything else is a failure of the test. */
export async function refusal(promise: Promise<unknown>, code?: Code): Promise<LockstepError> {
  const error = await promise.then(
    (value) => new Error(`was not refused: ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof LockstepError)) throw error instanceof Error ? error : new Error(`threw ${String(error)}`)
  if (code !== undefined && error.code !== code) throw new Error(`not ${code}, but ${error.code}: ${error.message}`)
  return error
}

/** The refusal that a settled promise ended with. */
export function refusalOf(settled: PromiseSettledResult<unknown> | undefined, code: Code): Promise<LockstepError> {
  return refusal(settled?.status === 'rejected' ? Promise.reject(settled.reason) : Promise.resolve(settled), code)
}

/** Taken before a test puts another clock in its place. */
const now = performance.now.bind(performance)
const turnsAtOnce = 200
const pauseMillis = 5

/**
 * Waits for a condition within a limit: turn by turn of the event loop at first, then in short pauses, so that a wait
 * for real time leaves the processor to other tests.
 */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  millisMax = 60_000,
): Promise<void> {
  const started = now()
  for (let turn = 0; !(await condition()); turn += 1) {
    const waitedMillis = now() - started
    if (waitedMillis > millisMax) throw new Error(`${what} did not come about within ${millisMax} ms`)
    await new Promise((go) => (turn < turnsAtOnce ? setImmediate(go) : setTimeout(go, pauseMillis)))
  }
}

/** Lets a number of turns of the event loop pass, in which whatever could happen has happened. */
export async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate)
}

/** How promises stand: answered, refused with a code, or neither yet. */
export function watch(promises: readonly Promise<unknown>[]): ('answered' | 'open' | string)[] {
  const states: string[] = promises.map(() => 'open')
  for (const [index, promise] of promises.entries()) {
    promise.then(
      () => {
        states[index] = 'answered'
      },
      (error: unknown) => {
        states[index] = error instanceof LockstepError ? error.code : String(error)
      },
    )
  }
  return states
}
