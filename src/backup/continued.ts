import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { readConfig } from '../disk/config-file.ts'
import { syncFolder } from '../disk/durable.ts'
import { layoutOf } from '../disk/layout.ts'
import type { LockState } from '../domain/lock/state.ts'
import type { RestoredData } from '../domain/log/origin.ts'
import type { RunState } from '../domain/run/state.ts'
import { fingerprint } from '../log/level/files.ts'
import { keepFirstHead } from '../log/level/first-head.ts'
import { LevelLog } from '../log/level/level-log.ts'
import { writeOwner } from '../log/level/owner/owner.ts'
import { openStore } from '../log/level/store.ts'
import { makeHome } from '../nouns/home.ts'
import { Views } from '../views/views.ts'
import { configInLog } from '../writer/config-in-force.ts'
import { type Renaming, renameLedger } from './renamed.ts'

/** A ledger that continues another. `size` counts the entry that says so, and `previous` is the other ledger. */
export interface ContinuedLedger {
  origin: string
  previous: RestoredData['previous']
  size: number
  token_offset: number
  vkey: string
  /** The locks that were held and the runs that were running. They end by their leases, or by hand. */
  held: number
  running: number
}

interface Continuing extends Omit<Renaming, 'vkey'> {
  /** Called with the ledger before it gets its new name. */
  inspect?: (log: LevelLog) => Promise<void>
  withoutModes: boolean
}

/**
 * Completes a home folder that has a verified database and perhaps a configuration: gives it a new key and a new name,
 * and records that. Errors: CONFIG_INVALID, LEDGER_UNAVAILABLE, those of `inspect`.
 */
export async function continueLedger(home: string, options: Continuing): Promise<ContinuedLedger> {
  const { identity, inspect, withoutModes } = options
  const [ledger, configPath] = [join(home, 'ledger'), join(home, 'config.json')]
  const store = await openStore(ledger, { create: false })
  let continued: ContinuedLedger
  try {
    const log = LevelLog.open(store)
    await inspect?.(log)
    // The file becomes what is in force. A ledger of an older version only has the file.
    const file = existsSync(configPath) ? () => readConfig(configPath) : () => undefined
    const configText = ((await configInLog(log)) ?? file())?.text
    const vkey = await makeHome(home, { configText, origin: identity.origin, withoutModes })
    const { previous, token_offset } = await renameLedger(log, { ...options, vkey })
    await keepFirstHead(log, layoutOf(dirname(home), home), previous)
    const { size } = log.head()
    continued = { origin: identity.origin, previous, size, token_offset, vkey, ...(await openWork(log)) }
  } finally {
    await store.close()
  }
  writeOwner(join(home, 'owner'), { state: 'closed', files: fingerprint(ledger) })
  const policy = join(home, 'policy')
  for (const folder of [ledger, join(policy, 'objects'), policy, home]) syncFolder(folder)
  return continued
}

/** How many locks are held and how many runs are running. Cost: a read of all rows of locks and runs. */
async function openWork(log: LevelLog): Promise<{ held: number; running: number }> {
  const views = new Views(log)
  let [held, running] = [0, 0]
  for await (const [, { state }] of views.rows('lock/')) if ((state as LockState).grant !== null) held += 1
  for await (const [, { state }] of views.rows('run/')) if ((state as RunState).status === 'running') running += 1
  return { held, running }
}
