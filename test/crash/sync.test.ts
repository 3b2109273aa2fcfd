// limit: 120

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import type { Ask, Line } from '../../fixtures/crash/asks.ts'
import { hold } from '../../src/lease.ts'
import type { Store } from '../../src/log/keyed/store.ts'
import { openLedger } from '../../src/open.ts'
import { lockRefOf } from '../../src/writer/core.ts'
import { root as projectRoot } from '../runner.ts'
import { compiled } from '../support/compiled.ts'
import { endsWithVerify, temporaryRoot, testActor, withLedger } from '../support/ledger.ts'
import { askedIn } from './lines.ts'
import { type Call, canTrace, foldersMade, isNamed, isSynced, parseTrace, readTrace, saidAt, tracing } from './trace.ts'

const isTracing = canTrace()
if (!isTracing) console.log('strace is not here (or may not trace): only the held store shows that answers wait')
const command = join(projectRoot, 'dist/cli/main.js')
const ofLevel = /\/\.lockstep\/ledger\/\d+\.log$/

const sync = suite('every answer follows a sync')

sync('of its batch in the database, for every kind of answer, alone and among many', async () => {
  if (!isTracing) return
  const root = await newRoot(['DEL-01-01_One', ...Array.from({ length: 8 }, (_, index) => `DEL-03-1${index}_Many`)])
  const { calls, stdout } = traced(root, [compiled('fixtures/crash/short-run.ts'), root])
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
  const asked = askedIn(lines)
  is(asked.length, 66)
  for (const [index, { ask, answer, refused }] of asked.entries()) {
    const isRefused = 'lock_id' in ask && ask.lock_id.includes('never-granted')
    is(refused?.code, isRefused ? 'LOCK_NOT_HELD' : undefined, JSON.stringify(ask))
    const n = index + 1
    const from = saidAt(calls, `{"n":${n},"ask"`)
    const to = saidAt(calls, `{"n":${n},"${isRefused ? 'refused' : 'answer'}"`)
    ok(from !== undefined && to !== undefined)
    const between = { from, to }
    ok(
      isSynced(calls, { file: ofLevel, text: markOf(ask), ...between }),
      `unsynced: ${JSON.stringify({ ask, answer })}`,
    )
    equal(filesUnsynced(calls, ask, between), [], JSON.stringify({ ask, answer }))
  }
  await endsWithVerify(root)
})

sync('by the command, in the database and in the files that its entries imply', async () => {
  if (!isTracing) return
  const root = await newRoot(['DEL-01-01_One'])
  const folder = join(root, 'DEL-01-01_One')
  const run_id = 'run_ACME_shop_2026-02-02_001'
  const target_name = 'IAMBECCA | ACME | SITE | shop | NEO'
  const holder = ['--holder', 'TASK', '--pid', String(process.pid)]
  const rows: [words: string[], ask: (lock_id: string) => Ask][] = [
    [['lock', 'acquire', 'reports', ...holder], (lock_id) => ({ do: 'acquire', name: 'reports', lock_id })],
    [['lock', 'acquire', '--folder', folder, ...holder], (lock_id) => ({ do: 'acquire', folder, lock_id })],
    [['lock', 'acquire', '--target', target_name, '--run-id', run_id], () => ({ do: 'acquire', target_name, run_id })],
  ]
  for (const [words, askOf] of rows) {
    const { calls, stdout } = traced(root, [command, '--dir', root, '--json', ...words])
    const answer = JSON.parse(stdout) as { lock_id: string }
    const ask = askOf(answer.lock_id)
    const to = saidAt(calls, '{"name"')
    ok(to !== undefined, stdout)
    ok(isSynced(calls, { file: ofLevel, text: markOf(ask), to }), `unsynced: ${words.join(' ')}`)
    equal(filesUnsynced(calls, ask, { from: -1, to }), [], words.join(' '))
    if ('run_id' in ask) continue
    const released = traced(root, [command, '--dir', root, '--json', 'lock', 'release', answer.lock_id])
    const saidReleased = saidAt(released.calls, '{"name"') ?? 0
    ok(isSynced(released.calls, { file: ofLevel, text: markOf(ask), to: saidReleased }), 'a release is unsynced')
  }
  await endsWithVerify(root)
})

sync('by init, of entry 0 and of the folder, which one rename puts in place', () => {
  if (!isTracing) return
  const root = temporaryRoot()
  const { calls } = traced(root, [command, 'init', root, '--no-operator-token', '--json'])
  const to = saidAt(calls, '{"dir"')
  ok(to !== undefined)
  ok(isSynced(calls, { file: /-init-[^/]+\/ledger\/\d+\.log$/, text: 'ledger.created', to }), 'entry 0 is unsynced')
  for (const name of ['key', 'key.pub', 'config.json'])
    ok(isSynced(calls, { file: new RegExp(`-init-[^/]+/${name.replace('.', '\\.')}$`), to }), `${name} is unsynced`)
  ok(isNamed(calls, { name: /-init-\S+ .*\/\.lockstep$/, to }), 'the name .lockstep is unsynced')
})

sync('also without tracing: no caller is answered while the write is held', async () => {
  let release = () => {}
  // However many batches they become: once it is open it is open for all.
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  let held = 0
  const wrapStore = (store: Store): Store => ({
    ...store,
    write: async (batch) => {
      held += 1
      await gate
      await store.write(batch)
    },
  })
  await withLedger(
    async (ledger) => {
      let answered = 0
      const asked = Array.from({ length: 20 }, (_, index) =>
        hold(ledger, { name: `r${index}`, holder: 'h' }).then(() => {
          answered += 1
        }),
      )
      while (held === 0) await new Promise(setImmediate)
      for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate)
      is(answered, 0, 'answered while the write was held')
      is((await ledger.head.get()).size, 1, 'published while the write was held')
      is(held, 1, 'one write in flight')
      release()
      await Promise.all(asked)
      is(answered, 20)
    },
    { wrapStore },
  )
})

const judge = suite('the judge of traces')

const log = '/r/.lockstep/ledger/000005.log'
const answers: [what: string, lines: string[], synced: boolean][] = [
  ['synced in time', [`1 write(5<${log}>, "mark", 4) = 4`, `1 fdatasync(5<${log}>) = 0`], true],
  [
    'synced in time, on two lines each',
    [
      `1 write(5<${log}>, "mark", 4 <unfinished ...>`,
      '2 write(9<anon_inode:[eventfd]>, "1", 1) = 1',
      '1 <... write resumed>) = 4',
      `1 fdatasync(5<${log}> <unfinished ...>`,
      '2 write(9<anon_inode:[eventfd]>, "1", 1) = 1',
      '1 <... fdatasync resumed>) = 0',
    ],
    true,
  ],
  ['never written', [`1 fdatasync(5<${log}>) = 0`], false],
  ['never synced', [`1 write(5<${log}>, "mark", 4) = 4`], false],
  ['synced before it was written', [`1 fdatasync(5<${log}>) = 0`, `1 write(5<${log}>, "mark", 4) = 4`], false],
  [
    'synced by a call that began before the write returned',
    [
      `1 write(5<${log}>, "mark", 4 <unfinished ...>`,
      `2 fdatasync(5<${log}> <unfinished ...>`,
      '1 <... write resumed>) = 4',
      '2 <... fdatasync resumed>) = 0',
    ],
    false,
  ],
  [
    'another file was synced',
    [`1 write(5<${log}>, "mark", 4) = 4`, '1 fdatasync(6</r/.lockstep/ledger/000009.log>) = 0'],
    false,
  ],
  [
    'the sync failed',
    [`1 write(5<${log}>, "mark", 4) = 4`, `1 fdatasync(5<${log}>) = -1 EIO (Input/output error)`],
    false,
  ],
  ['the sync had not returned', [`1 write(5<${log}>, "mark", 4) = 4`, `1 fdatasync(5<${log}> <unfinished ...>`], false],
]
for (const [what, lines, synced] of answers) {
  judge(`says ${synced ? 'yes' : 'no'} where it was ${what}`, () => {
    const calls = parseTrace(
      [...lines, '3 write(1<pipe:[7]>, "{\\"n\\":1,\\"answer\\"}\\n", 20) = 20', '1 <... fdatasync resumed>) = 0'].join(
        '\n',
      ),
    )
    const to = saidAt(calls, '{"n":1,"answer"')
    ok(to !== undefined)
    is(isSynced(calls, { file: ofLevel, text: 'mark', to }), synced)
  })
}

sync.run()
judge.run()

/** What stands in the bytes of the batch that answers a question, and in no other batch since the question. */
function markOf(ask: Ask): string {
  if ('lock_id' in ask) return lockRefOf(ask.lock_id)
  if ('key' in ask) return ask.key
  return 'run_id' in ask ? ask.run_id : ''
}

/** Files that an answer promises and that were not durable by then, with their names. */
function filesUnsynced(calls: readonly Call[], ask: Ask, between: { from: number; to: number }): string[] {
  if ('run_id' in ask) {
    const isThere =
      isSynced(calls, { file: /RUN_LOCK\.json\.tmp$/, ...between }) &&
      isNamed(calls, { name: /RUN_LOCK\.json$/, ...between })
    const folders = foldersMade(calls, between).filter((path) => path.includes('runtime'))
    const unnamed = folders.filter((path) => !isNamed(calls, { name: new RegExp(`^${path}$`), ...between }))
    return isThere ? unnamed : ['RUN_LOCK.json', ...unnamed]
  }
  if (ask.do === 'acquire' && 'folder' in ask) {
    const isThere =
      isSynced(calls, { file: new RegExp(`\\.lock\\.${lockRefOf(ask.lock_id)}\\.tmp$`), ...between }) &&
      isNamed(calls, { name: new RegExp(`${ask.folder}/\\.lock$`), ...between })
    return isThere ? [] : ['.lock']
  }
  if (ask.do === 'renew' && ask.lock_id.includes('folder'))
    return isSynced(calls, { file: /\/\.lock$/, text: ask.lock_id, ...between }) ? [] : ['the rewritten .lock']
  return []
}

function traced(root: string, words: string[]): { calls: Call[]; stdout: string } {
  const file = join(temporaryRoot(), 'trace')
  const [strace = '', ...options] = tracing(file)
  const { status, stdout, stderr } = spawnSync(strace, [...options, process.execPath, ...words], {
    cwd: root,
    encoding: 'utf8',
  })
  is(status, 0, `${words.join(' ')}: ${stdout} ${stderr}`)
  return { calls: readTrace(file), stdout }
}

async function newRoot(folders: string[]): Promise<string> {
  const root = temporaryRoot()
  for (const folder of folders) mkdirSync(join(root, folder))
  await (await openLedger({ dir: root, create: true, policy: false, actor: testActor })).close()
  ok(existsSync(command), 'dist is not built: npm run build')
  return root
}
