import { setTimeout as pause } from 'node:timers/promises'
import { limits } from '../kernel/limits.ts'
import type { LocalLedger } from '../ledger.ts'
import type { SharedLedger, Writing } from '../shared.ts'
import type { Forward } from './forward.ts'
import type { Log } from './log.ts'

interface NodeParts {
  forward: Forward
  log: Log
  shared: SharedLedger
  /** Where other nodes reach this one. */
  url: string | undefined
  /** The service answers from this ledger from now on. */
  serve: (ledger: LocalLedger) => Promise<void>
}

/**
 * Keeps a service at its task in a ledger that several nodes share. Its states:
 * - **following**: another node has the seat, or none has. Reads are answered from a ledger that follows the log, and
 *   commands are forwarded. When the seat is free, this node tries to take it.
 * - **writing**: this node has the seat, so it decides commands. When the seat or the database is lost, the writer is
 *   closed, which settles what its callers are told, and the node follows again.
 * - **closed**.
 */
export class Node {
  readonly #parts: NodeParts
  readonly #closing = new AbortController()
  #writing: Writing | undefined
  #work: Promise<void> = Promise.resolve()
  #failed = ''

  private constructor(parts: NodeParts) {
    this.#parts = parts
    parts.forward.to(undefined)
  }

  /** Looks at the seat for the first time, and keeps looking. */
  static async start(parts: NodeParts): Promise<Node> {
    const node = new Node(parts)
    node.#work = node.#run(await node.#step())
    return node
  }

  /** Gives the seat back, so that another node takes it at once. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#work
    this.#parts.forward.to(undefined)
    await this.#writing?.ledger.close()
  }

  async #run(first: number): Promise<void> {
    let millis = first
    while (!this.#closing.signal.aborted) {
      await pause(millis, undefined, { signal: this.#closing.signal, ref: false }).catch(() => {})
      if (!this.#closing.signal.aborted) millis = await this.#step()
    }
  }

  /** Does what the state of the seat asks for. Returns how many milliseconds to wait before the next look. */
  async #step(): Promise<number> {
    try {
      const millis = await (this.#writing === undefined ? this.#follow() : this.#watch(this.#writing))
      this.#failed = ''
      return millis
    } catch (error) {
      const { message } = error as Error
      // A database that is away for long is told once.
      if (message !== this.#failed) this.#parts.log.warn({ err: error }, 'looking at the seat of the writer failed')
      this.#failed = message
      this.#parts.forward.to(undefined)
      return limits.seatMillis.look
    }
  }

  async #follow(): Promise<number> {
    const { forward, log, shared, url } = this.#parts
    const { left_ms, writer } = await shared.look()
    await shared.follow()
    if (left_ms > 0 && writer !== null && writer.node !== shared.node) {
      forward.to(writer.url)
      return Math.min(left_ms + 1, limits.seatMillis.look)
    }
    const writing = await shared.write(url)
    if (writing === undefined) return 1
    this.#writing = writing
    log.info({ node: shared.node }, 'this node writes')
    await this.#parts.serve(writing.ledger)
    forward.to('here')
    return limits.seatMillis.look
  }

  async #watch(writing: Writing): Promise<number> {
    const { forward, log, serve, shared } = this.#parts
    const { is_writable } = await writing.ledger.figures()
    if (is_writable && !writing.isLost()) return limits.seatMillis.look
    this.#writing = undefined
    log.warn({ node: shared.node }, 'this node no longer writes')
    forward.to(undefined)
    await serve(shared.follower)
    await writing.ledger.close().catch((error: unknown) => log.warn({ err: error }, 'closing the writer failed'))
    return 1
  }
}
