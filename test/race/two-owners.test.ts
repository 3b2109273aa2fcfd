// limit: 120

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { hold } from '../../src/lease.ts'
import { readOwner } from '../../src/log/level/owner/owner.ts'
import { type OpenLedgerOptions, openLedger } from '../../src/open.ts'
import { type Ended, lockstep } from '../support/command.ts'
import { compiled } from '../support/compiled.ts'
import { built } from '../support/damage.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const otherInstallation = await built<{ openLedger: typeof openLedger }>('open.js')
const owners = suite('a second process')

async function newRoot(): Promise<string> {
  const root = temporaryRoot()
  await (await openLedger({ dir: root, create: true, policy: false, actor: testActor })).close()
  return root
}

const open = (root: string, options: OpenLedgerOptions = {}) => openLedger({ dir: root, actor: testActor, ...options })
const acquire = (root: string, wait: string) => {
  const holder = ['--holder', 'second', '--pid', String(process.pid)]
  return ['--dir', root, '--open-wait', wait, 'lock', 'acquire', 'reports', ...holder]
}

/** Any descriptor of LOCK that this process closes drops LevelDB's lock, which fcntl(2) made. */
const readLock = (root: string) => readFileSync(join(root, '.lockstep/ledger/LOCK'))

for (const [what, drop] of [
  ['reads ledger/LOCK', readLock],
  ['copies its own tree', (root: string) => cpSync(root, `${temporaryRoot()}/copy`, { recursive: true })],
  ['loses ledger/LOCK', (root: string) => rmSync(join(root, '.lockstep/ledger/LOCK'))],
] as const) {
  owners(`is kept out while the process that has the ledger ${what}, and never is one name granted twice`, async () => {
    const root = await newRoot()
    const ledger = await open(root, { command: 'the first' })
    drop(root)
    const refused = await lockstep(acquire(root, '0'))
    equal([refused.status, refused.json.owner_command], [7, 'the first'], refused.stdout)
    const first = await hold(ledger, { name: 'reports', holder: 'first' })
    await ledger.close()
    const contended = await lockstep(acquire(root, '20'))
    equal([contended.status, contended.json.token], [75, first.token], contended.stdout)
    await endsWithVerify(root)
  })
}

owners('in the same process, of another installation of the package, is kept out without LevelDB’s lock', async () => {
  const root = await newRoot()
  const ledger = await open(root)
  rmSync(join(root, '.lockstep/ledger/LOCK'))
  const refused = await otherInstallation
    .openLedger({ dir: root, actor: testActor, open_wait_s: 0 })
    .then(() => 'opened', codeOf)
  is(refused, 'LEDGER_UNAVAILABLE')
  await ledger.close()
  await endsWithVerify(root)
})

const canUnshare = process.getuid?.() === 0 && spawnSync('unshare', ['-mpnf', '--mount-proc', 'true']).status === 0
if (!canUnshare) console.log('not root, or no unshare: namespaces and mounts are not tried')
const elsewhere = ['unshare', '-mpnf', '--mount-proc']

owners('on another mount of the same folder is kept out', async () => {
  if (!canUnshare) return
  const [root, mount] = [await newRoot(), join(temporaryRoot(), 'mount')]
  mkdirSync(mount)
  const ledger = await open(root)
  readLock(root)
  const wrapper = ['unshare', '-m', 'sh', '-c', 'mount --bind "$0" "$1" && shift && exec "$@"', root, mount]
  const refused = await lockstep(acquire(mount, '0'), { wrapper })
  is(refused.status, 7, refused.stdout + refused.stderr)
  await ledger.close()
  const acquired = await lockstep(acquire(mount, '20'), { wrapper })
  is(acquired.status, 0, acquired.stdout + acquired.stderr)
  await endsWithVerify(root)
})

owners('in other namespaces waits for an owner it cannot see, starts no check and changes nothing', async () => {
  if (!canUnshare) return
  const root = await newRoot()
  const ledger = await open(root)
  const before = readFileSync(layoutOf(root).owner, 'utf8')
  for (const hasLock of [true, false]) {
    if (!hasLock) readLock(root)
    const refused = await lockstep(acquire(root, '2'), { wrapper: elsewhere })
    equal([refused.status, refused.json.busy], [7, true], refused.stdout + refused.stderr)
    is(readFileSync(layoutOf(root).owner, 'utf8'), before)
  }
  await hold(ledger, { name: 'other', holder: 'first' })
  await ledger.close()
  await endsWithVerify(root)
})

owners('in other namespaces opens the ledger once its owner there was killed', async () => {
  if (!canUnshare) return
  const root = await newRoot()
  const writer = spawn('unshare', [...elsewhere.slice(1), '--kill-child', process.execPath, ...writerWords(root)], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  await killed(writer)
  is(readOwner(layoutOf(root).owner)?.state, 'open')
  const acquired = await lockstep(acquire(root, '0'))
  is(acquired.status, 0, acquired.stdout + acquired.stderr)
  await endsWithVerify(root)
})

owners('opens a copy of an open ledger at once, because its owner file names another folder', async () => {
  const root = await newRoot()
  const copy = temporaryRoot()
  const ledger = await open(root)
  is(spawnSync('cp', ['-a', join(root, '.lockstep'), copy]).status, 0)
  is((await lockstep(acquire(copy, '0'))).json.code, 'LEDGER_COPIED')
  const adopted = await lockstep(['--dir', copy, '--open-wait', '0', 'adopt', '--copied'])
  is(adopted.status, 0, adopted.stdout)
  const acquired: Ended = await lockstep(acquire(copy, '0'))
  is(acquired.status, 0, acquired.stdout)
  await ledger.close()
  await endsWithVerify(copy)
  await endsWithVerify(root)
})

owners('that writes the owner file stops the first before its next answer', async () => {
  const root = await newRoot()
  const { owner } = layoutOf(root)
  const ledger = await open(root)
  const text = readFileSync(owner, 'utf8')
  // As long as before, in the same file: only its content tells.
  writeFileSync(owner, text.replace(/"nonce":"./, '"nonce":"!'))
  const refused = await hold(ledger, { name: 'reports', holder: 'first' }).then(() => 'granted', codeOf)
  is(refused, 'LEDGER_MOVED')
  await ledger.close()
  match(readFileSync(owner, 'utf8'), /"nonce":"!/, 'closing leaves the owner file of another alone')
  await endsWithVerify(root)
})

owners.run()

const codeOf = (error: unknown) => (error as { code?: string }).code

const writerWords = (root: string) => [compiled('fixtures/crash/writer.ts'), root, '1']

/** Kills a writer after its first line. */
async function killed(writer: ChildProcess): Promise<void> {
  ok(writer.stdout)
  await once(writer.stdout, 'data')
  writer.kill('SIGKILL')
  await once(writer, 'close')
}
