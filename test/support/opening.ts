import { readdirSync } from 'node:fs'
import type { LockstepError } from '../../src/errors.ts'
import { type Layout, layoutOf } from '../../src/fs/layout.ts'
import type { Log } from '../../src/log/log.ts'
import type { OpenOptions } from '../../src/log/open.ts'
import { built } from './damage.ts'
import { temporaryRoot, testActor } from './ledger.ts'

const { openLedger } = await built<typeof import('../../src/open.ts')>('open.js')
const { closeLog, openLog } = await built<typeof import('../../src/log/open.ts')>('log/open.js')

/** How many entries a closed ledger has. */
export const size = 301

/** A closed ledger of some entries, all of them still in LevelDB's log. */
export async function closedLedger(): Promise<Layout> {
  const layout = layoutOf(temporaryRoot())
  const ledger = await openLedger({ dir: layout.root, actor: testActor, create: true })
  const event = { action_type: 'system', outcome: 'success' } as const
  for (let at = 0; at < 3; at += 1) await ledger.audit.append(Array.from({ length: 100 }, () => event))
  await ledger.close()
  return layout
}

let nonces = 0

/** Opens a log, at once unless told otherwise. */
export function open(layout: Layout, options: Partial<OpenOptions> = {}): Promise<Log> {
  nonces += 1
  const nonce = `n${nonces}`
  return openLog({ layout, openWaitSeconds: 0, command: 'the day shift', nonce: () => nonce, ...options })
}

/** Opens and closes as the next process does; returns how many entries there are. */
export async function openOnce(layout: Layout, options: Partial<OpenOptions> = {}): Promise<number> {
  const log = await open(layout, options)
  await closeLog(log, layout)
  return log.head().size
}

/** The error that an open ends with. */
export async function refusalOf(opened: Promise<unknown>): Promise<LockstepError> {
  const outcome = await opened.then(
    () => new Error('it was opened'),
    (error: Error) => error,
  )
  // A built module throws an error of a class of its own.
  if (outcome.name !== 'LockstepError') throw outcome
  return outcome as LockstepError
}

/** What is kept as evidence, by name. */
export const evidenceIn = ({ evidence }: Layout) => readdirSync(evidence).sort()
