// limit: 360
import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { limits } from '../../src/kernel/limits.ts'
import { openLedger } from '../../src/open.ts'
import { asked } from '../support/asked.ts'
import { contentOf } from '../support/deliverable.ts'
import { endsWithVerify, testActor } from '../support/ledger.ts'
import { closedLedger, refusalOf } from '../support/opening.ts'
import { startOwner } from '../support/owner.ts'

const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 1)
const snapshots = 30 * rounds

const beside = suite('a snapshot that is taken without opening the ledger')

beside(`is whole ${snapshots} times while LevelDB compacts 100,000 entries`, async () => {
  const owner = await startOwner({ first: 100_000, entriesPerAppend: 200, notesChars: 1_000 })
  const tablesNow = () =>
    readdirSync(layoutOf(owner.root).ledger)
      .filter((name) => name.endsWith('.ldb'))
      .join()
  const tables = new Set<string>()
  const heads: { root: string; size: number }[] = []
  for (let taken = 0; taken < snapshots; taken += 1) {
    tables.add(tablesNow())
    const least = owner.acknowledged()
    const ledger = await openLedger({ dir: owner.root, snapshot: true, actor: testActor })
    const { root, size } = await ledger.head.get()
    ok(size >= least, `${size} >= ${least}`)
    // The index is derived in the snapshot.
    is((await ledger.audit.entries({ cursor: size - 1 })).events[0]?.seq, size - 1)
    if (taken === snapshots - 1) is((await ledger.log.verify()).root, root)
    await ledger.close()
    heads.push({ root, size })
  }
  await owner.end()
  ok(tables.size > 3, `${tables.size} versions of the tables were met`)
  const ledger = await openLedger({ dir: owner.root, actor: testActor })
  for (const { root, size } of heads) is((await ledger.log.consistency({ from: size })).from_root, root)
  await ledger.close()
  await endsWithVerify(owner.root)
})

beside('takes no commands, and stays as it is while others append and compact', async () => {
  const layout = await closedLedger()
  const snapshot = await openLedger({ dir: layout.root, snapshot: true, actor: testActor })
  is(snapshot.isSnapshot, true)
  const before = await snapshot.head.get()
  is((await refusalOf(snapshot.locks.acquire({ name: 'a', holder: 'a', pids: [process.pid] }))).code, 'INVALID_INPUT')
  for (let session = 0; session < 3; session += 1) {
    const ledger = await openLedger({ dir: layout.root, actor: testActor })
    is(ledger.isSnapshot, false)
    await ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
    await ledger.close()
  }
  equal(await snapshot.head.get(), before)
  is((await snapshot.log.verify()).root, before.root)
  await snapshot.close()
  await endsWithVerify(layout.root)
})

/** Changes how long a reader waits for a command, for the time of the work. */
async function waitingFor<T>(besideMillis: number, work: () => Promise<T>): Promise<T> {
  const before = limits.besideMillis
  Object.assign(limits, { besideMillis })
  return work().finally(() => Object.assign(limits, { besideMillis: before }))
}

beside('is not taken if the owner closes the ledger as soon as a command does', async () => {
  const layout = await closedLedger()
  await waitingFor(600_000, async () => {
    const owner = await openLedger({ dir: layout.root, actor: testActor })
    const tried = asked(layout)
    const opening = openLedger({ dir: layout.root, snapshot: 'if-busy', actor: testActor })
    await tried
    await owner.close()
    const ledger = await opening
    is(ledger.isSnapshot, false)
    await ledger.close()
  })
  await endsWithVerify(layout.root)
})

beside('is taken at once if the owner has had the ledger for long, but not while it checks every byte', async () => {
  const layout = await closedLedger()
  await waitingFor(600_000, async () => {
    const owner = await openLedger({ dir: layout.root, actor: testActor })
    const said = JSON.parse(readFileSync(layout.owner, 'utf8')) as object
    const since = new Date(Date.now() - 3_600_000).toISOString()
    const say = (more: object) => writeFileSync(layout.owner, JSON.stringify({ ...said, since, ...more }))
    const opened = () => openLedger({ dir: layout.root, snapshot: 'if-busy', open_wait_s: 1, actor: testActor })
    say({ suspect: 'checking' })
    const refused = await refusalOf(opened())
    equal([refused.code, refused.details.busy], ['LEDGER_UNAVAILABLE', true])
    say({})
    const ledger = await opened()
    is(ledger.isSnapshot, true)
    await ledger.close()
    await owner.close()
  })
  await endsWithVerify(layout.root)
})

beside('is taken beside a service, which refuses only those that want the ledger itself', async () => {
  const layout = await closedLedger()
  const service = await openLedger({ dir: layout.root, is_service: true, actor: testActor })
  is((await refusalOf(openLedger({ dir: layout.root, actor: testActor }))).code, 'LEDGER_SERVED')
  const ledger = await openLedger({ dir: layout.root, snapshot: 'if-busy', actor: testActor })
  is(ledger.isSnapshot, true)
  await ledger.close()
  await service.close()
  await endsWithVerify(layout.root)
})

beside('shows what a crash left, and writes nothing below the root', async () => {
  const { root } = await startOwnerAndKill()
  const before = contentOf(root)
  const ledger = await openLedger({ dir: root, snapshot: true, actor: testActor })
  const { size } = await ledger.head.get()
  await ledger.close()
  equal(contentOf(root), before)
  is((await endsWithVerify(root)).size, size)
})

async function startOwnerAndKill() {
  const owner = await startOwner()
  await owner.kill()
  return owner
}

const damages: Record<string, [damage: (root: string) => void, message: RegExp]> = {
  'a missing CURRENT': [(root) => rmSync(join(layoutOf(root).ledger, 'CURRENT')), /CURRENT is missing/],
  'a missing log': [(root) => rmSync(fileOf(root, /\.log$/)), /log/],
  'a log that ends before the head file': [
    (root) => truncateSync(fileOf(root, /\.log$/)),
    /was truncated or rolled back|301/,
  ],
  'a byte of the log': [(root) => flip(fileOf(root, /\.log$/)), /is damaged at byte/],
  'a byte of the MANIFEST': [(root) => flip(fileOf(root, /^MANIFEST/)), /MANIFEST-\d+ is damaged/],
}

for (const [what, [damage, message]] of Object.entries(damages)) {
  beside(`reports ${what} as damage, and leaves it as it is`, async () => {
    const { root } = await closedLedger()
    damage(root)
    const before = contentOf(root)
    const refused = await refusalOf(openLedger({ dir: root, snapshot: true, actor: testActor }))
    is(refused.code, 'LEDGER_CORRUPT', refused.message)
    match(refused.message, message)
    equal(contentOf(root), before)
  })
}

function fileOf(root: string, name: RegExp): string {
  const { ledger } = layoutOf(root)
  return join(ledger, readdirSync(ledger).find((found) => name.test(found)) ?? 'none')
}

function flip(path: string): void {
  const bytes = readFileSync(path)
  const at = Math.floor(bytes.length / 2)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(path, bytes)
}

beside('is NO_LEDGER if the ledger is moved away meanwhile', async () => {
  const { root } = await closedLedger()
  rmSync(join(root, '.lockstep'), { recursive: true })
  is((await refusalOf(openLedger({ dir: root, snapshot: true, actor: testActor }))).code, 'NO_LEDGER')
  ok(!existsSync(join(root, '.lockstep')))
})

beside.run()
