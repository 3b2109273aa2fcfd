import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { type Layout, layoutOf } from '../../src/disk/layout.ts'
import { buildingPrefix, dropProcessFolders, processFolderName } from '../../src/disk/process-folder.ts'
import { Guard } from '../../src/log/level/owner/guard.ts'
import { GuardName } from '../../src/log/level/owner/guard-name.ts'
import { holderOfName } from '../../src/log/level/owner/name-holder.ts'
import { thisOwner, writeOwner } from '../../src/log/level/owner/owner.ts'
import { openLedger } from '../../src/open.ts'
import { lockstep } from '../support/command.ts'
import { deadPid } from '../support/deliverable.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const guards = suite('the guard of a ledger')
const hasNames = process.platform === 'linux'
if (!hasNames) console.log('not Linux: there are no socket names without a file')

async function newLayout(): Promise<Layout> {
  const layout = layoutOf(temporaryRoot())
  await (await openLedger({ dir: layout.root, create: true, policy: false, actor: testActor })).close()
  return layout
}

guards('is held by one process, and by the next once it is released', async () => {
  const layout = await newLayout()
  const guard = await Guard.take(layout)
  ok(guard)
  is(await Guard.take(layout), undefined)
  guard.release()
  const next = await Guard.take(layout)
  ok(next)
  next.release()
  await endsWithVerify(layout.root)
})

guards('needs no file that a program which copies the tree could trip over', async () => {
  const layout = await newLayout()
  const guard = await Guard.take(layout)
  ok(guard)
  if (hasNames) equal([guard.exclusion, existsSync(layout.guard)], ['name', false])
  guard.release()
})

const isRoot = process.getuid?.() === 0
const nobody = 65_534
if (hasNames && !isRoot) console.log('not root: no process of another user can take a socket name')

/** A process that listens on the socket name and answers each connection with these bytes, or keeps silent. */
async function listener(name: string, answer: string, uid?: number): Promise<() => void> {
  const program = `
    const server = require('node:net').createServer((socket) => {
      socket.on('error', () => {})
      ${answer === '' ? '' : `socket.end(${JSON.stringify(answer)})`}
    })
    server.listen(${JSON.stringify(`\0${name}`)}, () => process.stdout.write('listening'))
    process.stdin.on('end', () => process.exit()).resume()`
  const child = spawn(process.execPath, ['-e', program], {
    ...(uid === undefined ? {} : { cwd: '/', gid: uid, uid }),
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  return () => child.stdin.end()
}

for (const [how, answer, isOfAnother] of [
  ['answers wrongly', 'x'.repeat(64), false],
  ['says nothing', '', true],
] as const) {
  guards(`is ignored if a stranger has its name and ${how}, and the doctor reports that`, async () => {
    if (!hasNames || (isOfAnother && !isRoot)) return
    const layout = await newLayout()
    const end = await listener(await nameOf(layout), answer, isOfAnother ? nobody : undefined)
    try {
      const { json, status, stdout } = await lockstep(['--dir', layout.root, 'doctor'])
      is(status, 0, stdout)
      const found = (json.findings as { check: string; outcome: string }[]).find(({ check }) => check === 'exclusion')
      is(found?.outcome, 'warn', stdout)
      await endsWithVerify(layout.root)
    } finally {
      end()
    }
  })
}

guards('obeys an owner of the same user that does not answer because it is stopped or busy', async () => {
  if (!hasNames) return
  const layout = await newLayout()
  const name = await nameOf(layout)
  const end = await listener(name, '')
  try {
    is(holderOfName(name, new Set([process.getuid?.() ?? 0])), 'known user')
    is(holderOfName(name, new Set([nobody + 1])), 'unseen')
    is(await Guard.take(layout), undefined)
  } finally {
    end()
  }
  await until(() => holderOfName(name, new Set([0])) === 'nobody')
  await endsWithVerify(layout.root)
})

async function until(isSo: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1_000 && !isSo(); tries += 1) await new Promise((resolve) => setTimeout(resolve, 10))
  ok(isSo())
}

/** The socket name that a guard of the ledger has, as anyone can read it. */
async function nameOf(layout: Layout): Promise<string> {
  const guard = await Guard.take(layout)
  const names = readFileSync('/proc/net/unix', 'utf8').match(/(?<=@)lockstep-[0-9a-f]{40}/g) ?? []
  guard?.release()
  const left = readFileSync('/proc/net/unix', 'utf8')
  const own = names.find((name) => !left.includes(name))
  ok(own, 'the guard has a name')
  return own
}

guards('asks an owner that cannot be seen from here, and treats it as gone only after a while', async () => {
  const layout = await newLayout()
  const own = thisOwner({ command: 'of a container', folder: '', holdsName: true, nonce: 'n' })
  const unseen = { ...own.evidence, pid_ns: 'pid:[1]' }
  writeOwner(layout.owner, { ...own, evidence: unseen, folder: null, net_ns: 'net:[1]' })
  const answering = setInterval(() => rmSync(layout.asked, { force: true }), 10)
  is(await Guard.take(layout), undefined)
  clearInterval(answering)
  const guard = await Guard.take(layout)
  ok(guard, 'nobody answered')
  is(existsSync(layout.asked), false)
  guard.release()
  await endsWithVerify(layout.root)
})

guards('asks nobody if the owner is known to be gone', async () => {
  const layout = await newLayout()
  const own = thisOwner({ command: 'the dead', folder: '', holdsName: false, nonce: 'n' })
  const evidence = { ...own.evidence, pid: deadPid() }
  // Whoever asked would be answered, and so be refused.
  const answering = setInterval(() => rmSync(layout.asked, { force: true }), 10)
  for (const gone of [{ evidence, folder: null }, { folder: 'of another ledger' }]) {
    writeOwner(layout.owner, { ...own, ...gone })
    const guard = await Guard.take(layout)
    ok(guard, JSON.stringify(gone))
    guard.release()
  }
  clearInterval(answering)
  await endsWithVerify(layout.root)
})

guards('is left to the next attempt if the holder of its name released it when it was asked', async () => {
  if (!hasNames) return
  const layout = await newLayout()
  const found = statSync(layout.ledger)
  const name = GuardName.of(layout.key, `${found.dev}:${found.ino}`, () => queueMicrotask(() => name?.release()))
  is(await name?.take(), 'taken')
  is(await Guard.take(layout), undefined)
  const guard = await Guard.take(layout)
  is(guard?.exclusion, 'name')
  guard?.release()
  await endsWithVerify(layout.root)
})

guards('answers a process that asks through a file, however soon the guard is released', async () => {
  const layout = await newLayout()
  const guard = await Guard.take(layout)
  writeFileSync(layout.asked, '')
  guard?.release()
  is(existsSync(layout.asked), false)
})

guards('is not taken if another owner took its place while an owner was asked', async () => {
  const layout = await newLayout()
  const own = thisOwner({ command: 'of a container', folder: '', holdsName: true, nonce: 'n' })
  const unseen = { ...own, evidence: { ...own.evidence, pid_ns: 'pid:[1]' }, folder: null, net_ns: 'net:[1]' }
  writeOwner(layout.owner, unseen)
  const taking = Guard.take(layout)
  const asked = setInterval(() => {
    if (existsSync(layout.asked)) writeOwner(layout.owner, { ...unseen, nonce: 'another' })
  }, 10)
  const guard = await taking
  clearInterval(asked)
  guard?.release()
  is(guard, undefined)
})

guards.run()

const inits = suite('the files that a killed init left')

inits('are removed if the process is gone or they are a day old, and kept if the process cannot be seen', () => {
  const root = temporaryRoot()
  const mine = processFolderName(buildingPrefix, 'id')
  const gone = mine.replace(`-${process.pid}-`, `-${deadPid()}-`)
  const unseen = gone.replace(/_\d+-id$/, '_1-id')
  const old = `${unseen}-old`
  for (const name of [mine, gone, unseen, old, '.lockstep-init-1-id']) {
    mkdirSync(join(root, name))
    writeFileSync(join(root, name, 'key'), '')
  }
  utimesSync(join(root, old), 0, 0)
  dropProcessFolders(root, buildingPrefix)
  const left = [mine, gone, unseen, old, '.lockstep-init-1-id'].filter((name) => existsSync(join(root, name)))
  equal(left, [mine, unseen, '.lockstep-init-1-id'])
})

inits.run()
