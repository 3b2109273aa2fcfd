// limit: 240
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { restoreBackup } from '../../src/backup/restore.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import { limits } from '../../src/kernel/limits.ts'
import { hold } from '../../src/lease.ts'
import { openLedger } from '../../src/open.ts'
import { until } from '../ledger/stage.ts'
import { root as project } from '../runner.ts'
import { type Ended, lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { randomBelow } from '../support/seed.ts'

const backups = suite('lockstep backup and restore')
const random = randomBelow('backup')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 2)
const main = join(process.env.LOCKSTEP_TEST_DIST ?? join(project, 'dist'), 'cli/main.js')

const event = { action_type: 'system', outcome: 'success', notes: 'x'.repeat(500) } as const

async function ledgerOf(size: number): Promise<string> {
  const root = temporaryRoot()
  const ledger = await openLedger({ dir: root, create: true, actor: testActor })
  await ledger.audit.append({ events: Array.from({ length: size }, () => event) })
  await ledger.close()
  return root
}

async function succeeds(words: readonly string[]): Promise<Ended> {
  const ended = await lockstep(words)
  is(ended.status, 0, `${words.join(' ')}: ${ended.stdout}${ended.stderr}`)
  return ended
}

backups('work while processes append: the copy verifies at a size of that interval, and continues', async () => {
  const root = await ledgerOf(300)
  const head = async () => Number((await succeeds(['--dir', root, 'head'])).json.size)
  let isDone = false
  const load = async (name: string) => {
    while (!isDone) {
      const { json } = await succeeds(['--dir', root, 'lock', 'acquire', name, '--holder', name])
      await succeeds(['--dir', root, 'lock', 'release', String(json.lock_id)])
    }
  }
  const loads = ['one', 'two'].map(load)
  try {
    for (let round = 0; round < rounds; round += 1) {
      const [file, target] = [join(temporaryRoot(), 'backup.tar.gz'), join(temporaryRoot(), 'restored')]
      const before = await head()
      const { json } = await succeeds(['--dir', root, 'backup', file])
      const after = await head()
      ok(before <= Number(json.size) && Number(json.size) <= after, `${before} <= ${json.size} <= ${after}`)
      const restored = await succeeds(['restore', file, target])
      const { origin, previous, token_offset } = restored.json
      equal(previous, { ...(previous as object), origin: json.origin, root: json.root, size: json.size })
      const { token } = (await succeeds(['--dir', target, 'lock', 'acquire', 'new', '--holder', 'x'])).json
      ok(Number(token) > Number(json.size) + 2 ** 20, `token ${token}`)
      is(Number(token_offset), 2 ** 20)
      const { size } = await endsWithVerify(target)
      is(size, Number(json.size) + 2)
      is((await succeeds(['--dir', target, 'head'])).json.origin, origin)
    }
  } finally {
    isDone = true
    await Promise.all(loads)
  }
  await endsWithVerify(root)
})

backups('keep what is held: its holder renews, guards and releases it in the restored ledger', async () => {
  const root = await ledgerOf(10)
  const ledger = await openLedger({ dir: root, actor: testActor })
  const held = await hold(ledger, { name: 'reports', holder: 'holder', lease_duration_s: 600 })
  await ledger.runs.create({ run_id: 'run_open', run_kind: 'orchestrator' })
  const run = await ledger.runs.start({ run_id: 'run_open', lease_duration_s: 600 })
  is(run.status, 'running')
  const [file, target] = [join(temporaryRoot(), 'backup.tar.gz'), temporaryRoot()]
  await ledger.log.backup({ file })
  await held.release()
  await ledger.close()
  const { json } = await succeeds(['restore', file, target])
  equal([json.held, json.running], [1, 1])
  const restored = await openLedger({ dir: target, actor: testActor })
  const contended = await hold(restored, { name: 'reports', holder: 'other' }).catch((error) => error)
  equal([contended.code, contended.details.token], ['LOCK_CONTENTION', held.token])
  const guard = { name: 'reports', token: held.token }
  await restored.audit.append({ events: [event], guard })
  await restored.locks.renew({ lock_id: held.lock_id })
  await restored.locks.release({ lock_id: held.lock_id })
  const next = await hold(restored, { name: 'reports', holder: 'other' })
  ok(next.token > held.token + 2 ** 20)
  const again = await restored.locks.acquire({ name: 'reports', holder: 'other', lock_id: next.lock_id })
  equal([again.token, again.replayed, again.current], [next.token, true, true])
  is((await restored.locks.history({ name: 'reports' })).entries.at(-1)?.type, 'lock.acquired')
  await next.release()
  await restored.close()
  const second = join(temporaryRoot(), 'second.tar.gz')
  await succeeds(['--dir', target, 'backup', second])
  const twice = join(temporaryRoot(), 'twice')
  is(Number((await succeeds(['restore', second, twice])).json.token_offset), 2 ** 21)
  await succeeds(['--dir', twice, 'lock', 'acquire', 'reports', '--holder', 'x'])
  await endsWithVerify(target)
  await endsWithVerify(twice)
})

backups('refuse a backup that is older than a kept checkpoint, or of another history', async () => {
  const [root, other, folder] = [await ledgerOf(10), await ledgerOf(10), temporaryRoot()]
  const checkpointOf = async (dir: string, name: string) => {
    const path = join(folder, name)
    writeFileSync(path, String((await succeeds(['--dir', dir, 'head', '--signed'])).json.checkpoint))
    return path
  }
  const early = await checkpointOf(root, 'early.txt')
  const file = join(folder, 'backup.tar.gz')
  await succeeds(['--dir', root, 'backup', file])
  await succeeds(['--dir', root, 'lock', 'acquire', 'later', '--holder', 'x'])
  const late = await checkpointOf(root, 'late.txt')
  const foreign = await checkpointOf(other, 'foreign.txt')
  for (const [checkpoint, message] of [
    [late, /it is older/],
    [foreign, /no key of the ledger/],
  ] as const) {
    const target = join(folder, 'refused')
    const { json, status } = await lockstep(['restore', file, target, '--checkpoint', checkpoint])
    equal([status, json.code, json.check], [6, 'VERIFY_FAILED', 'checkpoint'])
    match(String(json.message), message)
    ok(!existsSync(join(target, '.lockstep')))
  }
  const target = join(folder, 'restored')
  await succeeds(['restore', file, target, '--checkpoint', early])
  // The restored ledger continues the old one, so a checkpoint of the old one still fits its backups.
  const second = join(folder, 'second.tar.gz')
  await succeeds(['--dir', target, 'backup', second])
  const nowhere = await lockstep(['--dir', target, 'backup', join(folder, 'missing', 'third.tar.gz')])
  equal([nowhere.status, nowhere.json.message], [3, `there is no folder ${join(folder, 'missing')}`])
  await succeeds(['restore', second, join(folder, 'twice'), '--checkpoint', early])
  await endsWithVerify(join(folder, 'twice'))
  const { json } = await lockstep(['restore', file, target])
  is(json.code, 'LEDGER_EXISTS')
})

backups('find a damaged archive before anything appears', async () => {
  const [root, folder] = [await ledgerOf(300), temporaryRoot()]
  const file = join(folder, 'backup.tar.gz')
  await succeeds(['--dir', root, 'backup', file])
  const bytes = readFileSync(file)
  for (let round = 0; round < rounds * 4; round += 1) {
    const damaged = Buffer.from(bytes)
    const at = random(bytes.length)
    damaged[at] = (damaged[at] as number) ^ (1 << random(8))
    const [path, target] = [join(folder, 'damaged.tar.gz'), join(folder, 'target')]
    writeFileSync(path, round % 4 === 3 ? bytes.subarray(0, at) : damaged)
    const { json, status } = await lockstep(['restore', path, target])
    equal([status, json.code], [6, 'VERIFY_FAILED'], `byte ${at}: ${json.message}`)
    equal(readdirSync(target), [], 'nothing is left')
  }
})

backups('that are killed leave nothing half, and can be repeated', async () => {
  const [root, folder] = [await ledgerOf(600), temporaryRoot()]
  const whole = join(folder, 'whole.tar.gz')
  await succeeds(['--dir', root, 'backup', whole])
  const kill = async (words: readonly string[], isAt: () => boolean) => {
    const child: ChildProcess = spawn(process.execPath, [main, ...words], { stdio: 'ignore' })
    const exited = once(child, 'exit')
    await until('it is at work, or has ended', () => isAt() || child.exitCode !== null)
    const waits = random(40)
    await new Promise((resolve) => setTimeout(resolve, waits))
    child.kill('SIGKILL')
    await exited
  }
  for (let round = 0; round < rounds * 2; round += 1) {
    const place = join(folder, `round-${round}`)
    mkdirSync(place)
    const [file, target] = [join(place, 'killed.tar.gz'), join(place, 'target')]
    await kill(['--dir', root, 'backup', file], () => readdirSync(place).length > 0)
    if (existsSync(file)) await succeeds(['restore', file, join(place, 'early')])
    rmSync(file, { force: true })
    await succeeds(['--dir', root, 'backup', file])
    mkdirSync(target)
    await kill(['restore', whole, target], () => readdirSync(target).length > 0)
    if (!existsSync(join(target, '.lockstep'))) await succeeds(['restore', whole, target])
    equal(readdirSync(target), ['.lockstep'], 'what the killed process left is gone')
    equal(
      readdirSync(place).filter((name) => name.startsWith('.')),
      [],
      'so are the temporary files',
    )
    await endsWithVerify(target)
  }
  await endsWithVerify(root)
  equal(readdirSync(join(root, '.lockstep/snapshots')), [])
})

backups('restore a configuration of any size that a ledger can have', async () => {
  const root = temporaryRoot()
  const ledger = await openLedger({ dir: root, create: true, actor: testActor })
  const config = layoutOf(root).config
  writeFileSync(config, `${readFileSync(config, 'utf8').trimEnd()}${' '.repeat(limits.policyFileBytes)}`)
  const [file, dir] = [join(temporaryRoot(), 'backup.tar.gz'), temporaryRoot()]
  const { size } = await ledger.log.backup({ file })
  await ledger.close()
  is((await restoreBackup({ actor: testActor, dir, file })).size, size + 1)
  await endsWithVerify(dir)
})

backups.run()
