import { readdirSync } from 'node:fs'
import { type Layout, layoutOf } from '../../src/disk/layout.ts'
import type { LockstepError } from '../../src/errors.ts'
import type { LevelLog } from '../../src/log/level/level-log.ts'
import type { OpenOptions } from '../../src/log/level/open/open.ts'
import { built } from './damage.ts'
import { temporaryRoot, testActor } from './ledger.ts'

const { openLedger } = await built<typeof import('../../src/open.ts')>('open.js')
const { openLog } = await built<typeof import('../../src/log/level/open/open.ts')>('log/level/open/open.js')

/** How many entries a closed ledger has. */
export const size = 301

/** A closed ledger of some entries, all of them still in LevelDB's log. */
export async function closedLedger(): Promise<Layout> {
  const layout = layoutOf(temporaryRoot())
  const ledger = await openLedger({ dir: layout.root, actor: testActor, create: true, policy: false })
  const event = { action_type: 'system', outcome: 'success' } as const
  for (let at = 0; at < 3; at += 1) await ledger.audit.append(Array.from({ length: 100 }, () => event))
  await ledger.close()
  return layout
}

let nonces = 0

/** Opens a log, at once unless told otherwise. */
export function open(layout: Layout, options: Partial<OpenOptions> = {}): Promise<LevelLog> {
  return tryOpen(layout, options).catch(asPlainError)
}

function tryOpen(layout: Layout, options: Partial<OpenOptions>): Promise<LevelLog> {
  nonces += 1
  const nonce = `n${nonces}`
  return openLog({ layout, openWaitSeconds: 0, command: 'the day shift', nonce: () => nonce, ...options })
}

/** Opens and closes as the next process does; returns how many entries there are. */
export async function openOnce(layout: Layout, options: Partial<OpenOptions> = {}): Promise<number> {
  const log = await open(layout, options)
  await log.close()
  return log.head().size
}

/** How an open is refused. */
export function refusalAt(layout: Layout, options: Partial<OpenOptions> = {}): Promise<LockstepError> {
  return refusalOf(tryOpen(layout, options))
}

/** The error of ours that something ends with. */
export async function refusalOf(opened: Promise<unknown>): Promise<LockstepError> {
  const outcome = await opened.then(
    () => new Error('it was not refused'),
    (error: Error) => error,
  )
  if (!isOurs(outcome)) throw outcome
  return outcome
}

/** uvu breaks on an error whose `details` is no text, and leaves out the tests that follow. */
export function asPlainError(error: unknown): never {
  throw isOurs(error) ? new Error(`${error.code}: ${error.message}`, { cause: error.stack }) : error
}

/** A built module throws errors of a class of its own. */
function isOurs(error: unknown): error is LockstepError {
  return error instanceof Error && error.name === 'LockstepError'
}

/** What is kept as evidence, by name. */
export const evidenceIn = ({ evidence }: Layout) => readdirSync(evidence).sort()
