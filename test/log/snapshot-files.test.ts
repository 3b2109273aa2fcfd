import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { type Layout, layoutOf } from '../../src/disk/layout.ts'
import { processFolderName } from '../../src/disk/process-folder.ts'
import type { KeyedLog } from '../../src/log/keyed/log.ts'
import { takeSnapshot } from '../../src/log/level/open/snapshot-files.ts'
import { openLedger } from '../../src/open.ts'
import { root as project } from '../runner.ts'
import { contentsOf } from '../support/damage.ts'
import { deadPid } from '../support/deliverable.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { withLog } from '../support/opened-log.ts'

const snapshots = suite('a snapshot of the files of a log')

/** A closed ledger of several sessions, so that its database has tables. */
async function ledgerWithTables(): Promise<Layout> {
  const layout = layoutOf(temporaryRoot())
  for (let session = 0; session < 4; session += 1) {
    const ledger = await openLedger({ dir: layout.root, create: session === 0, policy: false, actor: testActor })
    for (let at = 0; at < 4; at += 1) await ledger.audit.append({ events: events(100) })
    await ledger.close()
  }
  return layout
}

const events = (count: number) =>
  Array.from({ length: count }, () => ({ action_type: 'system', outcome: 'success' }) as const)

/** The only snapshot's database. */
const databaseIn = ({ snapshots }: Layout) => join(snapshots, readdirSync(snapshots)[0] ?? '', 'ledger')

async function entriesOf(log: KeyedLog): Promise<string> {
  const texts: string[] = []
  for await (const page of log.entries(0)) texts.push(...page.map((entry) => JSON.stringify(entry)))
  return texts.join('\n')
}

snapshots(
  'shows the state at its moment, whatever is appended meanwhile, and is removed when it is closed',
  async () => {
    const layout = await ledgerWithTables()
    const taken = await withLog(layout.root, async (log) => {
      const snapshot = await takeSnapshot(log, layout, { later, nonce: 'one' })
      equal(await entriesOf(snapshot), await entriesOf(log))
      return snapshot
    })
    const [head, before] = [taken.head(), await entriesOf(taken)]
    const ledger = await openLedger({ dir: layout.root, actor: testActor })
    await ledger.audit.append({ events: events(700) })
    await ledger.close()
    equal([taken.head(), await entriesOf(taken)], [head, before])
    const [folder = '', ...others] = readdirSync(layout.snapshots)
    match(folder, new RegExp(`^${process.pid}-.*-one$`))
    equal(others, [])
    is(statSync(join(layout.snapshots, folder)).mode & 0o777, 0o700)
    await taken.close()
    equal(readdirSync(layout.snapshots), [])
    await endsWithVerify(layout.root)
  },
)

snapshots('shares the tables and changes none of them, however much is written to it', async () => {
  const layout = await ledgerWithTables()
  const met = await withLog(layout.root, async (log) => {
    const snapshot = await takeSnapshot(log, layout, { later, nonce: 'two' })
    const tables = (folder: string) => readdirSync(folder).filter((name) => name.endsWith('.ldb'))
    const shared = tables(databaseIn(layout)).filter(
      (name) =>
        statSync(join(layout.ledger, name), { throwIfNoEntry: false })?.ino ===
        statSync(join(databaseIn(layout), name)).ino,
    )
    ok(shared.length > 0, 'tables are linked')
    const before = contentsOf(layout.ledger)
    const { generation } = log.head()
    for (let round = 0; round < 12; round += 1) {
      const value = Buffer.alloc(512 * 1024, round)
      await snapshot.generations.fill(generation + 1, [{ view: 'receipts', key: round, value }])
    }
    await snapshot.generations.clear([generation + 1])
    await snapshot.close()
    equal(contentsOf(layout.ledger), before)
    return before
  })
  ok(Object.keys(met).length > 0)
  await endsWithVerify(layout.root)
})

snapshots('is a copy if the file system has no links between the two places', async () => {
  const layout = await ledgerWithTables()
  const elsewhere = '/dev/shm'
  const stat = statSync(elsewhere, { throwIfNoEntry: false })
  // A condition of the machine: a second file system that anybody may write to.
  if (stat === undefined || stat.dev === statSync(layout.root).dev) return
  const folder = mkdtempSync(join(elsewhere, 'lockstep-test-'))
  try {
    await withLog(layout.root, async (log) => {
      const snapshot = await takeSnapshot(
        log,
        { ...layout, snapshots: join(folder, 'snapshots') },
        { later, nonce: 'three' },
      )
      equal(await entriesOf(snapshot), await entriesOf(log))
      await snapshot.close()
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  await endsWithVerify(layout.root)
})

snapshots('is removed at the next open if its process died, and kept if it lives', async () => {
  const layout = await ledgerWithTables()
  const mine = processFolderName('', 'x')
  const gone = mine.replace(/^\d+/, String(deadPid()))
  for (const name of [mine, gone]) mkdirSync(join(layout.snapshots, name), { recursive: true })
  await endsWithVerify(layout.root)
  equal(readdirSync(layout.snapshots), [mine])
})

snapshots('is removed by a signal that ends its process', async () => {
  const layout = await ledgerWithTables()
  const program = `
    import { openLedger } from ${JSON.stringify(join(project, 'dist/index.js'))}
    const ledger = await openLedger({ dir: ${JSON.stringify(layout.root)} })
    await ledger.snapshot()
    process.stdout.write('taken')
    setInterval(() => {}, 1_000)`
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const exited = once(child, 'exit')
    await Promise.race([once(child.stdout, 'data'), exited])
    is(readdirSync(layout.snapshots).length, 1)
    child.kill(signal)
    equal(await exited, [null, signal])
    equal(readdirSync(layout.snapshots), [])
  }
  await endsWithVerify(layout.root)
})

/** These copies are not asked to sign. */
function later(): never {
  throw new Error('no later copy is needed')
}

snapshots.run()
