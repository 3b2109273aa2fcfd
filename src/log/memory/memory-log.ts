import { invariant } from '../../errors.ts'
import { Heads } from '../heads.ts'
import { KeyedLog } from '../keyed/log.ts'
import type { KeyedSnapshot } from '../keyed/reader.ts'
import type { Key, Log, NewMeta, SignedHead, Values } from '../log.ts'
import type { Signer } from '../signer.ts'
import { type MemoryStore, memoryStore } from './memory-store.ts'

/** How a log in memory behaves. */
export interface MemoryOptions {
  /** Every load answers one turn of the event loop later, as that of an engine behind a network would. */
  delay?: boolean | undefined
  /** Called once the log is closed. */
  closed?: (() => void) | undefined
  selfCheck?: boolean | undefined
  /** Signs its tree heads. */
  signers?: ((log: Log, size: number) => Promise<readonly Signer[]>) | undefined
  /** For tests: the store, for example one that fails. */
  store?: MemoryStore | undefined
}

/** A log whose content is lost when it is closed: for unit tests, and to show that no caller needs reads at once. */
export class MemoryLog extends KeyedLog {
  #options: MemoryOptions = {}
  #store = memoryStore()
  #heads = new Heads({ last: undefined, log: this, signers: (size) => this.#signers(size) })

  static async begin(meta: NewMeta, options: MemoryOptions = {}): Promise<MemoryLog> {
    const { store = memoryStore() } = options
    const log = await MemoryLog.create(store, meta, options.selfCheck)
    log.#store = store
    log.#options = options
    return log
  }

  override load(keys: readonly Key[]): Values | Promise<Values> {
    return this.#options.delay === true ? later(() => super.load(keys)) : super.load(keys)
  }

  override async snapshot(): Promise<KeyedSnapshot> {
    const snapshot = await super.snapshot()
    if (this.#options.delay !== true) return snapshot
    const load = snapshot.load.bind(snapshot)
    snapshot.load = (keys) => later(() => load(keys))
    return snapshot
  }

  override async copy(): Promise<MemoryLog> {
    const store = this.#store.copy()
    const log = MemoryLog.open(store)
    log.#store = store
    log.#options = { delay: this.#options.delay }
    // One process has one history of signed heads.
    log.#heads = this.#heads
    return log
  }

  override sign(size: number): Promise<SignedHead> {
    return this.#heads.sign(size)
  }

  override keepHead(): Promise<boolean> {
    return this.#heads.keep()
  }

  #signers(size: number): Promise<readonly Signer[]> {
    invariant(this.#options.signers !== undefined, 'a log that signs has signers')
    return this.#options.signers(this, size)
  }

  override async close(): Promise<void> {
    await super.close()
    this.#options.closed?.()
  }
}

async function later<T>(read: () => T | Promise<T>): Promise<T> {
  await new Promise(setImmediate)
  return read()
}
