import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CallOptions } from '../../src/api/operation.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import { LockstepError } from '../../src/errors.ts'
import type { Actor } from '../../src/kernel/ids.ts'
import { hold, type Lease } from '../../src/lease.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { fingerprint } from '../../src/log/level/files.ts'
import { writeOwner } from '../../src/log/level/owner/owner.ts'
import { createLedger } from '../../src/nouns/create.ts'
import { type OpenLedgerOptions, openLedger } from '../../src/open.ts'
import { caseWork } from './case-work.ts'
import { contentOf, type Deliverable, makeDeliverable } from './deliverable.ts'
import { endsWithVerify, temporaryRoot, testActor, testClock } from './ledger.ts'

/** A ledger at work: a deliverable folder, a clock that stands still, and what can be done to both. */
export interface Scene extends Deliverable {
  root: string
  clock: ReturnType<typeof testClock>
  /** The ledger; another one after `reopen`. */
  ledger: LocalLedger
  /** Acquires the folder, for agent-1 and ten minutes unless said otherwise. */
  acquire: (request?: Record<string, unknown>, options?: CallOptions) => Promise<Lease>
  /** Everything below the root but the ledger itself. */
  visible: () => Record<string, string>
  /** Closes the ledger, unless it stands for a crash, and opens it again as the next process would. */
  reopen: (options?: OpenOptions) => Promise<LocalLedger>
  /** Called before the clock is read. */
  onNow: () => void
}

type OpenOptions = Pick<OpenLedgerOptions, 'wrapStore'> & { actor?: Actor }

interface SceneOptions extends OpenOptions {
  config?: Record<string, unknown>
}

/** A test over a scene of its own; its ledger is closed and verified at the end, whatever came before. */
export function scene(work: (scene: Scene) => Promise<void>, options: SceneOptions = {}): () => Promise<void> {
  return async () => {
    const { config, ...opening } = options
    const root = temporaryRoot()
    const clock = testClock()
    const open = (more: OpenOptions) =>
      openLedger({
        actor: testActor,
        self_check: true,
        ...more,
        dir: root,
        now: () => {
          stage.onNow()
          return clock.now()
        },
      })
    await createLedger({ dir: root, actor: testActor, config })
    caseWork(root)
    // Said as a close says it, so that the first open need not doubt the database and start a process to check it.
    const layout = layoutOf(root)
    writeOwner(layout.owner, { state: 'closed', files: fingerprint(layout.ledger) })
    const deliverable = makeDeliverable(root)
    const stage = { ...deliverable, root, clock, onNow: () => {}, visible: () => visibleIn(root) } as Scene
    stage.acquire = (request = {}, options = {}) =>
      hold(stage.ledger, { folder: deliverable.path, holder: 'agent-1', lease_duration_s: 600, ...request }, options)
    stage.reopen = async (more = {}) => {
      await stage.ledger.close()
      stage.ledger = await open(more)
      return stage.ledger
    }
    stage.ledger = await open(opening)
    try {
      await work(stage).catch(asPlainError)
    } finally {
      await stage.ledger.close()
      await endsWithVerify(root)
    }
  }
}

/** uvu breaks on an error whose `details` is no text, and leaves out the tests that follow. */
export function asPlainError(error: unknown): never {
  if (!(error instanceof LockstepError)) throw error
  throw new Error(`${error.code}: ${error.message}`, { cause: error.stack })
}

/** Changes the configuration of a ledger that no process has open, and puts it in force. */
export async function configure(root: string, config: Record<string, unknown>): Promise<void> {
  if (Object.keys(config).length === 0) return
  editConfig(root, config)
  const ledger = await openLedger({ actor: { actor_id: 'BECCA', actor_type: 'human' }, dir: root })
  try {
    await ledger.config.reload()
  } finally {
    await ledger.close()
  }
}

/** Changes members of the configuration file. Alone, that has no effect. */
export function editConfig(root: string, config: Record<string, unknown>): void {
  const path = join(root, '.lockstep/config.json')
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...config }))
}

/** Writes a file below a root, with the folders above it. */
export function put(root: string, name: string, content: string | Uint8Array): string {
  const path = join(root, name)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, content)
  return path
}

function visibleIn(root: string): Record<string, string> {
  const found = contentOf(root)
  for (const name of Object.keys(found)) if (/^\.lockstep(?:\/|$)/.test(name)) delete found[name]
  return found
}
