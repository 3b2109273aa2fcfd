import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import { endsWithVerify, temporaryRoot, testActor, testClock } from '../support/ledger.ts'

const reactor = suite('RUN_LOCK.json')
// Later than entry 0, which is made by the machine's own clock.
const { now } = testClock(Date.UTC(2100, 0, 2, 3, 4, 5))
const authority = { actor_id: 'BECCA', actor_type: 'human' } as const

const runOf = (slug: string) => `run_ACME_${slug}_2026-02-02_001`
const targetOf = (slug: string) => `IAMBECCA | ACME | SITE | ${slug} | NEO`
const fileOf = (root: string, slug: string) => join(root, 'runtime/runs', runOf(slug), 'RUN_LOCK.json')
const read = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
const acquire = (ledger: LocalLedger, slug: string) =>
  ledger.locks.acquire({ target_name: targetOf(slug), run_id: runOf(slug) })
const release = (ledger: LocalLedger, slug: string) =>
  ledger.locks.release({ actor: authority, run_id: runOf(slug), final_status: 'COMPLETE' })

/** A new ledger for the time of the work, closed afterwards; the root stays for what comes next. */
async function inRoot(work: (ledger: LocalLedger, root: string) => Promise<void>): Promise<string> {
  const root = temporaryRoot()
  const ledger = await openLedger({ dir: root, create: true, policy: false, actor: testActor, now, self_check: true })
  try {
    await work(ledger, root)
  } finally {
    await ledger.close()
  }
  return root
}

reactor('exists before its lock is answered, and says RELEASED before its release is answered', async () => {
  const root = await inRoot(async (ledger, root) => {
    is((await acquire(ledger, 'shop')).files, 'current')
    const locked = {
      status: 'LOCKED',
      target_name: targetOf('shop'),
      run_id: runOf('shop'),
      lock_owner: runOf('shop'),
      lock_time: '2100-01-02T03:04:05Z',
      lock_reason: 'P0_INVENTORY initialization',
      release_conditions: ['state == COMPLETE', 'manual override by BECCA'],
    }
    is(readFileSync(fileOf(root, 'shop'), 'utf8'), `${JSON.stringify(locked, null, 2)}\n`)
    is((await release(ledger, 'shop')).files, 'current')
    const released = {
      ...locked,
      status: 'RELEASED',
      released_at: '2100-01-02T03:04:05Z',
      released_by: 'BECCA (VERIFICATION)',
      final_status: 'COMPLETE',
    }
    is(readFileSync(fileOf(root, 'shop'), 'utf8'), `${JSON.stringify(released, null, 2)}\n`)
  })
  await endsWithVerify(root)
})

reactor('is not written again when its entries are handled again', async () => {
  const root = await inRoot(async (ledger) => {
    await acquire(ledger, 'shop')
    await release(ledger, 'shop')
    await acquire(ledger, 'blog')
  })
  const before = ['shop', 'blog'].map((slug) => statSync(fileOf(root, slug), { bigint: true }))
  // Cursors ride in the batch that comes next, and none came: the last entries are handled again at every open.
  for (let opened = 0; opened < 2; opened += 1) await (await openLedger({ dir: root, actor: testActor })).close()
  const after = ['shop', 'blog'].map((slug) => statSync(fileOf(root, slug), { bigint: true }))
  equal(
    after.map(({ ino, mtimeNs }) => ({ ino, mtimeNs })),
    before.map(({ ino, mtimeNs }) => ({ ino, mtimeNs })),
  )
  rmSync(fileOf(root, 'blog'))
  await (await openLedger({ dir: root, actor: testActor })).close()
  is(read(fileOf(root, 'blog')).status, 'LOCKED', 'and is written where it was not yet')
  await endsWithVerify(root)
})

reactor('that cannot be written is pending, blocks no other file, and is written later', async () => {
  const root = await inRoot(async (ledger, root) => {
    await acquire(ledger, 'shop')
    const inTheWay = join(root, 'runtime/runs', runOf('blog'))
    writeFileSync(inTheWay, 'a file where a folder belongs')
    is((await acquire(ledger, 'blog')).files, 'pending')
    await release(ledger, 'shop')
    is(read(fileOf(root, 'shop')).status, 'RELEASED', 'another project is not kept waiting')
    is(readFileSync(inTheWay, 'utf8'), 'a file where a folder belongs')
    rmSync(inTheWay)
    is((await acquire(ledger, 'wiki')).files, 'current')
    is(read(fileOf(root, 'blog')).status, 'LOCKED')
  })
  await endsWithVerify(root)
})

reactor('is written at the next open if it could not be written before', async () => {
  const root = await inRoot(async (ledger, root) => {
    mkdirSync(join(root, 'runtime'))
    writeFileSync(join(root, 'runtime/runs'), 'a file where the runs directory belongs')
    is((await acquire(ledger, 'shop')).files, 'pending')
    is((await release(ledger, 'shop')).files, 'pending')
  })
  rmSync(join(root, 'runtime/runs'))
  await endsWithVerify(root)
  is(read(fileOf(root, 'shop')).status, 'RELEASED')
  equal(statSync(fileOf(root, 'shop')).mode & 0o777, 0o644)
})

reactor('is pending while a folder is in its place', async () => {
  const root = await inRoot(async (ledger, root) => {
    await acquire(ledger, 'shop')
    rmSync(fileOf(root, 'shop'))
    mkdirSync(fileOf(root, 'shop'))
    is((await release(ledger, 'shop')).files, 'pending')
    ok(statSync(fileOf(root, 'shop')).isDirectory())
    rmSync(fileOf(root, 'shop'), { recursive: true })
    is((await acquire(ledger, 'wiki')).files, 'current')
    is(read(fileOf(root, 'shop')).status, 'RELEASED')
  })
  await endsWithVerify(root)
})

reactor('is pending while its folder may not be changed', async () => {
  const root = await inRoot(async (ledger, root) => {
    await acquire(ledger, 'shop')
    const folder = join(fileOf(root, 'shop'), '..')
    const isFrozen = spawnSync('chattr', ['+i', folder]).status === 0
    if (!isFrozen) return console.log('chattr is not permitted here: no folder is made unchangeable')
    try {
      is((await release(ledger, 'shop')).files, 'pending')
      is(read(fileOf(root, 'shop')).status, 'LOCKED')
    } finally {
      spawnSync('chattr', ['-i', folder])
    }
    is((await acquire(ledger, 'wiki')).files, 'current')
    is(read(fileOf(root, 'shop')).status, 'RELEASED')
  })
  await endsWithVerify(root)
})

const edits: [what: string, edit: (text: string) => string][] = [
  ['says another reason', (text) => text.replace('P0_INVENTORY initialization', 'by hand')],
  ['says RELEASED', (text) => JSON.stringify({ ...JSON.parse(text), status: 'RELEASED', ...releasedByHand })],
  ['is no JSON', () => 'no JSON'],
  ['is JSON of another form', () => '{"status":"LOCKED"}\n'],
]
const releasedByHand = { released_at: '2100-01-02T03:04:05Z', released_by: 'somebody', final_status: 'HALTED' }

for (const [what, edit] of edits) {
  reactor(`that was edited by hand and ${what} is never overwritten, and blocks no other file`, async () => {
    const root = await inRoot(async (ledger, root) => {
      await acquire(ledger, 'shop')
      const edited = edit(readFileSync(fileOf(root, 'shop'), 'utf8'))
      writeFileSync(fileOf(root, 'shop'), edited)
      is((await release(ledger, 'shop')).files, 'pending', 'it is said')
      is(readFileSync(fileOf(root, 'shop'), 'utf8'), edited)
    })
    const edited = readFileSync(fileOf(root, 'shop'), 'utf8')
    const again = await openLedger({ dir: root, actor: testActor })
    // One that cannot be read blocks every project, until the authority sets it aside.
    const isReadable = what.startsWith('says')
    if (isReadable) is((await acquire(again, 'wiki')).files, 'current')
    await again.close()
    is(readFileSync(fileOf(root, 'shop'), 'utf8'), edited, 'nor at the next open')
    is(existsSync(fileOf(root, 'wiki')), isReadable)
  })
}

reactor('of every project is written in the order of the log, however many runs end at once', async () => {
  const root = await inRoot(async (ledger, root) => {
    const slugs = Array.from({ length: 20 }, (_, index) => `site${index}`)
    await Promise.all(slugs.map((slug) => acquire(ledger, slug)))
    const answers = await Promise.all(slugs.map((slug) => release(ledger, slug)))
    for (const { files } of answers) is(files, 'current')
    for (const slug of slugs) {
      const { released_by, status } = read(fileOf(root, slug))
      is(status, 'RELEASED')
      match(String(released_by), 'VERIFICATION')
    }
  })
  await endsWithVerify(root)
})

reactor.run()
