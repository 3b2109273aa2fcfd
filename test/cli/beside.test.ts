// limit: 360
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import { lockstep } from '../support/command.ts'
import { contentOf, makeDeliverable } from '../support/deliverable.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { startOwner } from '../support/owner.ts'
import { startRuns } from '../support/turns.ts'

const questions = 30
const atOnce = 3

const beside = suite('reading beside the process that has the ledger open')

beside(`answers ${questions} times, as of a size that is no older than what was acknowledged before`, async () => {
  const owner = await startOwner()
  const answers: { size: number; root: string }[] = []
  for (let asked = 0; asked < questions; asked += atOnce) {
    const least = owner.acknowledged()
    const ask = () => lockstep(['--dir', owner.root, 'head'])
    for (const { json, status, stderr, stdout } of await Promise.all(Array.from({ length: atOnce }, ask))) {
      is(status, 0, stdout)
      const size = Number(json.size)
      ok(size >= least, `${size} >= ${least}`)
      is(stderr, `as of size ${size}\n`)
      answers.push({ size, root: String(json.root) })
    }
  }
  const verified = await lockstep(['--dir', owner.root, 'verify'])
  is(verified.status, 0, verified.stdout)
  answers.push({ size: Number(verified.json.size), root: String(verified.json.root) })
  match(verified.stderr, new RegExp(`^as of size ${verified.json.size}\n$`))
  await owner.end()
  const ledger = await openLedger({ dir: owner.root, actor: testActor })
  for (const { root, size } of answers) is((await ledger.log.consistency({ from: size })).from_root, root)
  await ledger.close()
  await endsWithVerify(owner.root)
})

/** Something of every kind to ask for. */
async function fill(ledger: LocalLedger, root: string): Promise<void> {
  await startRuns(ledger, ['run_draft1'])
  const triplets = [{ stem: 'pages/home', body: { version: 1 }, links: {} }]
  await ledger.turns.apply({ run_id: 'run_draft1', turn_id: 'turn-0001', triplets })
  await ledger.locks.acquire({ name: 'reports', holder: 'agent-1', pids: [process.pid] })
  await ledger.locks.acquire({ folder: makeDeliverable(root).path, holder: 'agent-1', pids: [process.pid] })
  await ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
}

const readers = [
  ['audit', 'list'],
  ['audit', 'list', '--entries', '--run', 'run_draft1'],
  ['audit', 'tail', '--from', '0', '--count', '3'],
  ['consistency', '1'],
  ['head'],
  ['head', '--signed'],
  ['lock', 'history', 'reports'],
  ['lock', 'list'],
  ['lock', 'status', 'reports'],
  ['policy', 'show'],
  ['policy', 'check'],
  ['prove', '1'],
  ['run', 'show', 'run_draft1'],
  ['run', 'list'],
  ['run', 'tree', 'run_draft1'],
  ['run', 'why', 'run_draft1'],
  ['stem', 'list', '--run', 'run_draft1'],
  ['stem', 'list', '--run', 'run_draft1', '--jsonl'],
  ['stem', 'show', 'pages/home', '--run', 'run_draft1'],
  ['turn', 'show', '--run', 'run_draft1', '--turn', 'turn-0001'],
  ['turn', 'list', '--run', 'run_draft1'],
  ['verify'],
]
/** What depends on the moment: how far the index has come, and the time until a lease ends. */
const volatile = /"(?:indexed|expires_in_s|age_s|lease_remaining_s)":[^,}]*/g

beside('answers every question as without an owner, and writes nothing below the root', async () => {
  const root = temporaryRoot()
  const ledger = await openLedger({ dir: root, create: true, actor: testActor })
  await fill(ledger, root)
  await ledger.close()
  const ask = (words: readonly string[]) => lockstep(['--dir', root, ...words])
  const alone = []
  for (const words of readers) alone.push(await ask(words))
  const owner = await openLedger({ dir: root, actor: testActor, command: 'the night shift' })
  const { size } = await owner.head.get()
  const before = contentOf(root)
  for (const [index, words] of readers.entries()) {
    const { status, stderr, stdout } = await ask(words)
    const what = `${words.join(' ')}: ${stdout}${stderr}`
    equal([status, stdout.replace(volatile, '')], [0, alone[index]?.stdout.replace(volatile, '')], what)
    is(stderr, words[1] === 'tail' ? '' : `as of size ${size}\n`, what)
  }
  equal(contentOf(root), before)
  await owner.close()
  await endsWithVerify(root)
})

beside('refuses what writes, with the name of the owner', async () => {
  const root = temporaryRoot()
  const owner = await openLedger({ dir: root, create: true, actor: testActor, command: 'the night shift' })
  const writers = [
    ['lock', 'acquire', 'reports', '--holder', 'h'],
    ['audit', 'append', '--outcome', 'success'],
    ['verify', '--rebuild'],
    ['stem', 'check', '--run', 'run_draft1'],
  ]
  for (const words of writers) {
    const { json, status, stderr, stdout } = await lockstep(['--dir', root, ...words, '--open-wait', '0'])
    equal([status, json.code, json.owner_command], [7, 'LEDGER_UNAVAILABLE', 'the night shift'], stdout)
    is(stderr, '')
  }
  is((await owner.head.get()).size, 2)
  await owner.close()
  await endsWithVerify(root)
})

beside('does not wait for the end of --open-wait', async () => {
  const root = temporaryRoot()
  const owner = await openLedger({ dir: root, create: true, actor: testActor })
  // The test would outlive its limit.
  const { status, stdout } = await lockstep(['--dir', root, 'lock', 'list', '--open-wait', '86400'])
  is(status, 0, stdout)
  await owner.close()
  await endsWithVerify(root)
})

beside('needs few file descriptors: without more, the tables are linked or copied', async () => {
  const owner = await startOwner({ first: 30_000, notesChars: 1_000 })
  const { ledger } = layoutOf(owner.root)
  const tables = readdirSync(ledger).filter((name) => name.endsWith('.ldb')).length
  ok(tables > 16, `${tables} tables`)
  for (const spare of [16, 28, 40]) {
    const wrapper = ['sh', '-c', `ulimit -n ${tables + spare} && exec "$@"`, 'sh']
    const { status, stdout } = await lockstep(['--dir', owner.root, 'head'], { wrapper })
    is(status, 0, `${tables} tables and ${spare}: ${stdout}`)
  }
  await owner.end()
  await endsWithVerify(owner.root)
})

beside('leaves nothing in the folder for temporary files', async () => {
  const root = temporaryRoot()
  const TMPDIR = join(temporaryRoot(), 'for temporary files')
  mkdirSync(TMPDIR)
  const owner = await openLedger({ dir: root, create: true, actor: testActor })
  for (const words of [['head'], ['audit', 'list'], ['verify'], ['lock', 'status', 'nobody']]) {
    const { status, stdout } = await lockstep(['--dir', root, ...words], { env: { TMPDIR } })
    is(status, words[1] === 'status' ? 3 : 0, stdout)
    equal(readdirSync(TMPDIR), [])
  }
  const missing = await lockstep(['--dir', root, 'head'], { env: { TMPDIR: join(TMPDIR, 'missing') } })
  is(missing.json.code, 'NOT_FOUND', missing.stdout)
  match(readFileSync(layoutOf(root).owner, 'utf8'), /"state":"open"/)
  await owner.close()
  await endsWithVerify(root)
})

beside.run()
