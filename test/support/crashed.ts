import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { is } from 'uvu/assert'
import { type Layout, layoutOf } from '../../src/disk/layout.ts'
import { compiled } from './compiled.ts'
import { built } from './damage.ts'
import { copyLedger, temporaryRoot, testActor } from './ledger.ts'

const { openLedger } = await built<typeof import('../../src/open.ts')>('open.js')

/** A ledger whose process died, and what that process had been answered. */
export interface Crashed {
  layout: Layout
  size: number
  /** Of the lock `reports`, which is held still. */
  token: number
  /** The name of the write-ahead log, and its bytes. */
  log: string
  bytes: Buffer
}

/**
 * A ledger whose process was killed before it wrote its head file anew: that is the file from before. All of the rounds
 * are in LevelDB's write-ahead log.
 */
export async function crashedLedger(rounds = 60): Promise<Crashed> {
  const layout = layoutOf(temporaryRoot())
  const ledger = await openLedger({ dir: layout.root, actor: testActor, create: true, policy: false })
  await ledger.close()
  const head = readFileSync(layout.head)
  const { signal, stderr, stdout } = spawnSync(
    process.execPath,
    [compiled('fixtures/crash/dies.ts'), layout.root, String(rounds)],
    { encoding: 'utf8' },
  )
  is(signal, 'SIGKILL', stderr)
  writeFileSync(layout.head, head)
  const logs = readdirSync(layout.ledger).filter((name) => name.endsWith('.log'))
  is(logs.length, 1)
  const [log = ''] = logs
  return {
    ...(JSON.parse(stdout) as { size: number; token: number }),
    layout,
    log,
    bytes: readFileSync(join(layout.ledger, log)),
  }
}

/** The same ledger in another folder, as a copy of its files, dates and all. */
export function copyOfCrashed({ layout }: Crashed): Layout {
  const copy = layoutOf(temporaryRoot())
  copyLedger(layout.home, copy.home)
  return copy
}
