import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import type { LockstepError } from '../../src/errors.ts'
import { changedFiles } from '../../src/files/workspace/changes.ts'
import { openLedger } from '../../src/open.ts'
import { SovereignView } from '../../src/views/sovereign-view.ts'
import { copyLedger, endsWithVerify, temporaryRoot, testActor, withLedger } from '../support/ledger.ts'
import { withLog } from '../support/opened-log.ts'
import { page, startRun, tombstone, triplet, turnId } from '../support/pages.ts'
import { configure } from '../support/scene.ts'
import { promote, run_id } from './promoted-turns.ts'

const workspace = suite('a workspace on disk')

const folderOf = (root: string, of = `run/${run_id}`) => join(root, 'workspace', of)
const treesIn = (root: string) => readdirSync(join(folderOf(root), '.trees')).filter((name) => name !== 'spare.json')

/** Every file below `current`, with what it says. */
function seen(root: string, of = `run/${run_id}`): Record<string, unknown> {
  const current = join(folderOf(root, of), 'current')
  const names = readdirSync(`${current}/`, { recursive: true, encoding: 'utf8' }).sort()
  const files = names.filter((name) => lstatSync(join(current, name)).isFile())
  return Object.fromEntries(files.map((name) => [name, JSON.parse(readFileSync(join(current, name), 'utf8'))]))
}

const stemsIn = (files: Record<string, unknown>) =>
  Object.keys(files).flatMap((name) => (name.endsWith('.body.json') ? [name.slice(0, -'.body.json'.length)] : []))
const sourcesIn = (files: Record<string, unknown>, id: string) =>
  (files[`_index/refs/by_id/page/${id}.json`] as { sources: { stem: string }[] } | undefined)?.sources.map(
    ({ stem }) => stem,
  )

workspace('has three files for each stem, the index of refs, and the last turn of each run', async () => {
  await withLedger(async (ledger, root) => {
    await startRun(ledger, run_id)
    await promote(ledger, [{ triplets: [page('a', 1, 'b'), page('b')] }])
    is((await ledger.workspaces.files()).files, 'current')
    const { body_digest, links_digest } = (await ledger.workspaces.stem({ run_id, stem: 'a' })).triplet
    equal(seen(root), {
      '_index/refs/by_id/page/b.json': {
        id: 'b',
        sources: [{ artifact_digest: links_digest, location: '/links/to0', relationship: null, stem: 'a' }],
        type: 'page',
      },
      [`_index/runs/${run_id}.json`]: { last_promoted_turn_id: 'turn-0001', run_id, version: 'v1' },
      'a.body.json': { dto_type: 'page', id: 'a', version: 1 },
      'a.links.json': { to0: { id: 'b', type: 'page' } },
      'a.manifest.json': { of: 'a' },
      'b.body.json': { dto_type: 'page', id: 'b', version: 1 },
      'b.links.json': {},
      'b.manifest.json': { of: 'b' },
    })
    is(statSync(join(folderOf(root), 'current/a.body.json')).mode & 0o777, 0o444)
    const { createHash } = await import('node:crypto')
    const bytes = readFileSync(join(folderOf(root), 'current/a.body.json'))
    is(createHash('sha256').update(bytes).digest('hex'), body_digest, 'a file has the digest of its object')
  })
})

workspace('follows tombstones, re-creations and removed links: every record is as in the ledger', async () => {
  await withLedger(async (ledger, root) => {
    await startRun(ledger, run_id)
    await promote(ledger, [
      { triplets: [page('a', 1, 'b', 'c'), page('b'), page('c', 1, 'a')] },
      { triplets: [page('a', 2, 'b')] },
      { tombstones: [tombstone('c', 'turn-0003')] },
      {},
      { triplets: [page('c', 2)], tombstones: [tombstone('c', 'turn-0005')] },
    ])
    is((await ledger.workspaces.files()).files, 'current')
    const files = seen(root)
    equal(stemsIn(files), ['a', 'b', 'c'])
    equal(
      ['a', 'b', 'c'].map((id) => sourcesIn(files, id)),
      [[], ['a'], []],
    )
    is((await ledger.workspaces.check({ run_id })).files, Object.keys(files).length)
    ok(treesIn(root).length <= 2)
  })
})

workspace('removes a stem before it adds one that differs only in case, however many turns come together', async () => {
  const root = temporaryRoot()
  const ledger = await openLedger({ dir: root, create: true, actor: testActor })
  await startRun(ledger, run_id)
  await promote(ledger, [
    { triplets: [page('X')] },
    { triplets: [page('x')], tombstones: [tombstone('X', turnId(2))] },
    { triplets: [page('X')], tombstones: [tombstone('x', turnId(3))] },
  ])
  await ledger.workspaces.files()
  const turns = await Promise.all([2, 3].map((number) => ledger.turns.get({ run_id, turn_id: turnId(number) })))
  const promoted = turns.map(({ manifest_digest, seq, turn_id }) => ({ manifest_digest, run_id, seq, turn_id }))
  await ledger.close()
  await withLog(root, async (log) => {
    const view = await SovereignView.open(log)
    const asked = { current: join(folderOf(root), 'current'), disk: { ignoresCase: false }, promoted }
    const paths: string[] = []
    for await (const { content, path } of (await changedFiles(view, `run/${run_id}`, asked)) ?? []) {
      if (!path.startsWith('_index')) paths.push(`${content === null ? '-' : '+'} ${path}`)
    }
    await view.close()
    const parts = ['body', 'links', 'manifest']
    equal(paths, [...parts.map((part) => `- x.${part}.json`), ...parts.map((part) => `+ X.${part}.json`)])
  })
  await endsWithVerify(root)
})

workspace('of a workflow is shared by all its runs', async () => {
  await withLedger(async (ledger, root) => {
    for (const run of ['run_one_1', 'run_two_2']) await startRun(ledger, run, 'site')
    await promote(ledger, [{ triplets: [page('a')] }], { run: 'run_one_1' })
    await promote(ledger, [{ triplets: [page('b', 1, 'a')] }, {}], { run: 'run_two_2' })
    is((await ledger.workspaces.files()).files, 'current')
    const files = seen(root, 'workflow/site')
    equal(stemsIn(files), ['a', 'b'])
    equal(
      Object.entries(files).flatMap(([name, content]) => (name.startsWith('_index/runs') ? [content] : [])),
      [
        { last_promoted_turn_id: 'turn-0001', run_id: 'run_one_1', version: 'v1' },
        { last_promoted_turn_id: 'turn-0002', run_id: 'run_two_2', version: 'v1' },
      ],
    )
    rmSync(folderOf(root, 'workflow/site'), { recursive: true })
    await ledger.workspaces.check({ workflow_id: 'site', rebuild: true })
    equal(seen(root, 'workflow/site'), files)
  })
})

workspace('holds stems that a file system cannot name, under names that can be read back', async () => {
  await withLedger(async (ledger, root) => {
    await startRun(ledger, run_id)
    const long = `${'x'.repeat(300)}/end`
    const odd = { id: 'p:1/..', type: 'a/b' }
    const triplets = [
      triplet('v1.0', { dto_type: odd.type, id: odd.id }),
      triplet('v1.1', {}, { see: odd }),
      triplet(long),
      triplet('CON/a:b.'),
    ]
    await promote(ledger, [{ triplets }])
    is((await ledger.workspaces.files()).files, 'current')
    const names = Object.keys(seen(root))
    ok(
      names.includes('v1.0.body.json') &&
        names.includes('v1.1.body.json') &&
        names.includes('%43ON/a%3Ab%2E.body.json'),
    )
    ok(names.includes('_index/refs/by_id/a%2Fb/p%3A1%2F.%2E.json'))
    ok(names.some((name) => /^%h[0-9a-f]{64}\/end\.body\.json$/.test(name)))
    await ledger.workspaces.check({ run_id })
  })
})

workspace('is made by one tree for promotions that came together, and each finds itself done', async () => {
  await withLedger(async (ledger, root) => {
    await startRun(ledger, run_id)
    await promote(
      ledger,
      Array.from({ length: 20 }, (_, index) => ({ triplets: [page(`s${index % 7}`, index)] })),
    )
    is((await ledger.workspaces.files()).files, 'current')
    equal(stemsIn(seen(root)).length, 7)
    const target = readlinkSync(join(folderOf(root), 'current'))
    is(target, `.trees/${(await ledger.turns.list({ run_id })).turns.at(-1)?.seq}.0`)
    await ledger.workspaces.check({ run_id })
  })
})

workspace('that could not be written is pending, and is written later', async () => {
  await withLedger(async (ledger, root) => {
    await startRun(ledger, run_id)
    writeFileSync(join(root, 'workspace'), 'a file where the folder belongs')
    await promote(ledger, [{ triplets: [page('a')] }])
    is((await ledger.workspaces.files()).files, 'pending')
    rmSync(join(root, 'workspace'))
    is((await ledger.workspaces.files()).files, 'current')
    equal(stemsIn(seen(root)), ['a'])
  })
})

/** What becomes of a folder that somebody damaged between two opens, and the files once the next turn is promoted. */
const damages: [what: string, damage: (folder: string, before: string) => void, isMended: boolean][] = [
  ['removed', (folder) => rmSync(folder, { recursive: true }), true],
  ['without its link', (folder) => unlinkSync(join(folder, 'current')), true],
  ['without its tree', (folder) => rmSync(join(folder, '.trees'), { recursive: true }), true],
  [
    'with its link turned elsewhere',
    (folder) => {
      unlinkSync(join(folder, 'current'))
      symlinkSync(temporaryRoot(), join(folder, 'current'))
    },
    true,
  ],
  [
    'with a pipe where a file is to be',
    (folder) => {
      const file = join(folder, 'current/d.links.json')
      is(spawnSync('mkfifo', [file]).status, 0)
    },
    true,
  ],
  ['with a spoilt hint', (folder) => writeFileSync(join(folder, '.trees/spare.json'), '{"current":'), true],
  [
    'put back from an older copy',
    (folder, before) => {
      rmSync(folder, { recursive: true })
      copyLedger(before, folder)
    },
    true,
  ],
  [
    'with a changed file',
    (folder) => {
      const file = join(folder, 'current/b.body.json')
      chmodSync(file, 0o644)
      writeFileSync(file, '{}')
    },
    false,
  ],
  [
    'with a link in the place of a file',
    (folder) => {
      const file = join(folder, 'current/a.links.json')
      unlinkSync(file)
      symlinkSync('/etc/hostname', file)
    },
    false,
  ],
  ['with a file too many', (folder) => writeFileSync(join(folder, 'current/mine.txt'), 'mine'), false],
]

for (const [what, damage, isMended] of damages) {
  workspace(
    `${what} is ${isMended ? 'built again by the next promotion' : 'found by a check, and built again when asked'}`,
    async () => {
      const before = join(temporaryRoot(), 'copy')
      await withLedger(async (ledger, root) => {
        const folder = folderOf(root)
        await startRun(ledger, run_id)
        await promote(ledger, [{ triplets: [page('a', 1, 'b'), page('b')] }])
        await ledger.workspaces.files()
        cpSync(folder, before, { recursive: true, verbatimSymlinks: true })
        await promote(ledger, [{ triplets: [page('c')] }, { triplets: [page('a', 2)] }], { from: 2 })
        await ledger.workspaces.files()
        damage(folder, before)
        if (!isMended) {
          const found = await ledger.workspaces.check({ run_id }).catch((error: LockstepError) => error)
          is((found as LockstepError).code, 'VERIFY_FAILED')
          is((found as LockstepError).details.count, 1)
          await ledger.workspaces.check({ run_id, rebuild: true })
        }
        await promote(ledger, [{ triplets: [page('d', 1, 'c')] }], { from: 4 })
        is((await ledger.workspaces.files()).files, 'current')
        await ledger.workspaces.check({ run_id })
        equal(stemsIn(seen(root)), ['a', 'b', 'c', 'd'])
      })
    },
  )
}

workspace(
  'whose `current` was replaced by a folder is pending and untouched until the folder is moved away',
  async () => {
    await withLedger(async (ledger, root) => {
      await startRun(ledger, run_id)
      await promote(ledger, [{ triplets: [page('a')] }])
      await ledger.workspaces.files()
      const current = join(folderOf(root), 'current')
      unlinkSync(current)
      mkdirSync(current)
      writeFileSync(join(current, 'mine.txt'), 'mine')
      await promote(ledger, [{ triplets: [page('b')] }], { from: 2 })
      is((await ledger.workspaces.files()).files, 'pending')
      is(readFileSync(join(current, 'mine.txt'), 'utf8'), 'mine')
      renameSync(current, join(root, 'mine'))
      is((await ledger.workspaces.files()).files, 'current')
      equal(stemsIn(seen(root)), ['a', 'b'])
    })
  },
)

workspace('is finished by the next open, wherever its writer left it', async () => {
  const root = temporaryRoot()
  const first = await openLedger({ dir: root, create: true, actor: testActor })
  await startRun(first, run_id)
  await promote(first, [{ triplets: [page('a')] }, { triplets: [page('b')] }])
  await first.workspaces.files()
  await first.close()
  // As if the process had died before it wrote the second turn's files.
  rmSync(folderOf(root), { recursive: true })
  const again = await openLedger({ dir: root, actor: testActor })
  equal(stemsIn(seen(root)), ['a', 'b'])
  await again.close()
  await endsWithVerify(root)
})

workspace('is finished by the next open after several promotions, from the existing tree', async () => {
  const root = temporaryRoot()
  const first = await openLedger({ dir: root, create: true, actor: testActor })
  await startRun(first, run_id)
  await promote(first, [{ triplets: [page('a', 1, 'b'), page('b')] }])
  is((await first.workspaces.files()).files, 'current')
  // Nothing can be written from here on, as if the process were about to die.
  const current = join(folderOf(root), 'current')
  renameSync(current, `${current}.aside`)
  mkdirSync(current)
  const gone = { tombstones: [tombstone('a', 'turn-0003')], triplets: [page('d', 1, 'c')] }
  await promote(first, [{ triplets: [page('c', 1, 'a')] }, gone, { triplets: [page('c', 2)] }], { from: 2 })
  is((await first.workspaces.files()).files, 'pending')
  await first.close()
  rmdirSync(current)
  renameSync(`${current}.aside`, current)
  const again = await openLedger({ dir: root, actor: testActor })
  const files = seen(root)
  equal([stemsIn(files), sourcesIn(files, 'a'), sourcesIn(files, 'b')], [['b', 'c', 'd'], [], []])
  await again.workspaces.check({ run_id })
  await again.close()
  await endsWithVerify(root)
})

workspace('is where the configuration says', async () => {
  const root = temporaryRoot()
  await (await openLedger({ dir: root, create: true, actor: testActor })).close()
  await configure(root, { workspace_dir: 'runtime/state' })
  const ledger = await openLedger({ dir: root, actor: testActor })
  await startRun(ledger, run_id)
  await promote(ledger, [{ triplets: [page('a')] }])
  is((await ledger.workspaces.files()).files, 'current')
  ok(existsSync(join(root, 'runtime/state/run', run_id, 'current/a.body.json')))
  ok(!existsSync(join(root, 'workspace')))
  await ledger.close()
  await endsWithVerify(root)
})

workspace.run()
