import { createHash } from 'node:crypto'
import { readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod'
import { makeFolder, replaceFile } from '../disk/durable.ts'
import { readHint } from '../disk/regular-file.ts'
import { actorSchema, lockIdSchema } from '../kernel/ids.ts'
import type { HookEvent } from './event.ts'
import type { HarnessName } from './forms.ts'
import { type HarnessProcess, isSame, isStillRunning } from './harness-process.ts'

/** A lock that a hook took for an agent. */
const heldSchema = z.strictObject({
  actor: actorSchema,
  /** The agent within the session that took it. */
  agent_id: z.string().optional(),
  lock_id: lockIdSchema,
  paths: z.array(z.string()),
})
export type Held = z.infer<typeof heldSchema>

const keptSchema = z.strictObject({ held: z.array(heldSchema), run_id: z.string().optional() })

/** A call of a tool that was begun. */
export interface Begun {
  at: number
  /** Ends the note of what the agent does. */
  end: () => void
  /** The run of the call, where calls are runs. */
  run?: { decision_id: string; run_id: string } | undefined
}

/** What is known of one session of a harness in one process. */
export interface Session {
  readonly file: string
  /** Whether the process of the harness has died, and the hook belongs to the process that took over its children. */
  isOrphaned: boolean
  /** The process of the harness, if the service sees it. */
  readonly process: HarnessProcess | undefined
  held: Held[]
  /** Calls of tools by id, with when they began. */
  readonly begun: Map<string, Begun>
  run_id: string | undefined
}

/** The most sessions, and the most calls of one, that are remembered. */
const rememberedMax = 1_000
const keptBytesMax = 1024 * 1024
/** Files of sessions that never ended are removed after this long. */
const keptMillisMax = 7 * 86_400_000

/**
 * The sessions of harnesses. What a session holds is also in a file of its own, written before the lock is asked for, so
 * that a service that starts anew can renew and release it. The file has the secrets of the locks, so only the owner of
 * the ledger reads it.
 */
export class Sessions {
  readonly #folder: string
  readonly #sessions = new Map<string, Session>()
  /** The process in which each session was seen last. */
  readonly #processes = new Map<string, HarnessProcess>()
  #isSwept = false

  constructor(folder: string) {
    this.#folder = folder
  }

  /** The session of an event. Two processes with one session id are two sessions. */
  of(
    harness: HarnessName,
    { session_id }: Pick<HookEvent, 'session_id'>,
    process: HarnessProcess | undefined,
  ): Session {
    const key = createHash('sha256')
      .update(JSON.stringify([harness, session_id, process ?? null]))
      .digest('hex')
    const name = key.slice(0, 32)
    let session = this.#sessions.get(name)
    // The sessions that were used last stay. The others are read from their files again.
    if (session !== undefined) this.#sessions.delete(name)
    else session = this.#read(name, process)
    session.isOrphaned = this.#isOrphaned(JSON.stringify([harness, session_id]), process)
    remember(this.#sessions, name, session)
    return session
  }

  /** Keeps what a session holds. Errors: those of file writes. */
  keep({ file, held, run_id }: Session): void {
    if (held.length === 0 && run_id === undefined) rmSync(file, { force: true })
    else {
      makeFolder(this.#folder, 0o700)
      replaceFile(file, JSON.stringify({ held, ...(run_id === undefined ? {} : { run_id }) }))
    }
  }

  /**
   * Whether a hook outlived its harness. Its parent is then gone, or is a process that is older than the harness was. A
   * harness that takes up the session of a dead one is younger.
   */
  #isOrphaned(id: string, process: HarnessProcess | undefined): boolean {
    const before = this.#processes.get(id)
    const isYounger =
      process !== undefined &&
      (before === undefined ||
        (process.start === null ? process.pid !== 1 : Number(process.start) > Number(before.start)))
    if (before !== undefined && (isSame(before, process) || isStillRunning(before))) return false
    if (isYounger) remember(this.#processes, id, process)
    return before !== undefined && !isYounger
  }

  #read(name: string, process: HarnessProcess | undefined): Session {
    if (!this.#isSwept) this.#sweep()
    const file = join(this.#folder, `${name}.json`)
    const kept = keptSchema.safeParse(jsonOf(readHint(file, keptBytesMax)))
    const { held = [], run_id } = kept.data ?? {}
    return { begun: new Map(), file, held, isOrphaned: false, process, run_id }
  }

  #sweep(): void {
    this.#isSwept = true
    const until = Date.now() - keptMillisMax
    try {
      for (const name of readdirSync(this.#folder).slice(0, 10_000)) {
        const file = join(this.#folder, name)
        if (statSync(file).mtimeMs < until) rmSync(file, { force: true })
      }
    } catch {
      // No hook was called before, so there is no folder.
    }
  }
}

/** Keeps the newest values by their keys. */
function remember<Value>(all: Map<string, Value>, key: string, value: Value): void {
  all.set(key, value)
  const [oldest] = all.keys()
  if (all.size > rememberedMax && oldest !== undefined) all.delete(oldest)
}

/** Notes that a call has begun. The oldest notes are dropped: nobody will tell of the end of those calls. */
export function begin({ begun }: Session, id: string, call: Begun): void {
  remember(begun, id, call)
}

/** The value of a file that is only a hint. */
export function jsonOf(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? 'null')
  } catch {
    return undefined
  }
}
