// limit: 240
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { randomFrom } from '../../fixtures/random.ts'
import { openLedger } from '../../src/open.ts'
import { interrupted, lookAt, stepsOf } from '../crash/interrupted.ts'
import { makeDeliverables } from '../crash/writers.ts'
import { lockstep } from '../support/command.ts'
import { compiled } from '../support/compiled.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { printedSeed } from '../support/seed.ts'

const seed = printedSeed('durability')
const random = randomFrom(seed)
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 1)
const folderName = 'DEL-01-01_One'
const run_id = 'run_ACME_shop_2026-02-02_001'
const target_name = 'IAMBECCA | ACME | SITE | shop | NEO'
const holder = ['--holder', 'TASK', '--pid', String(process.pid)]

const durable = suite('the command and durability')

async function newRoot(): Promise<string> {
  const root = temporaryRoot()
  makeDeliverables(root, [folderName])
  await (await openLedger({ dir: root, create: true, policy: false, actor: testActor })).close()
  return root
}

const kinds: [what: string, words: (root: string, id: string) => string[]][] = [
  ['a resource', (_root, id) => ['lock', 'acquire', 'reports', ...holder, '--lock-id', id]],
  ['a deliverable', (root, id) => ['lock', 'acquire', '--folder', join(root, folderName), ...holder, '--lock-id', id]],
  ['a project', () => ['lock', 'acquire', '--target', target_name, '--run-id', run_id]],
]

for (const [what, wordsOf] of kinds) {
  durable(`an acquire of ${what} that was killed gives one answer when the same command is repeated`, async () => {
    const words = (root: string) => ['--dir', root, ...wordsOf(root, 'lck_durability-of-the-command')]
    const listed = await newRoot()
    const steps = (await stepsOf({ root: listed, words: words(listed) })).length
    for (let round = 0; round < rounds; round += 1) {
      const root = await newRoot()
      const killed = await interrupted({ root, words: words(root), signal: 'SIGKILL' }, steps, random)
      const where = `LOCKSTEP_SEED=${seed}, step ${killed.step} of ${steps}: ${killed.stdout}${killed.stderr}`
      is(killed.signal, 'SIGKILL', where)
      const met = await lookAt(root)
      equal(met.findings, [], where)
      const granted = met.entries.find(({ type }) => type === 'lock.acquired')
      if (killed.stdout !== '') is(killed.json.token, granted?.seq, where)
      const first = await lockstep(words(root))
      is(first.status, 0, `${where}, then ${first.stdout}`)
      is(first.json.replayed, granted !== undefined, where)
      if (granted !== undefined) is(first.json.token, granted.seq, where)
      const second = await lockstep(words(root))
      equal(second.json, { ...first.json, replayed: true }, where)
      equal((await lookAt(root)).findings, [], where)
    }
  })
}

durable('a release that was killed gives one answer when it is repeated', async () => {
  const acquire = (root: string) =>
    lockstep(['--dir', root, 'lock', 'acquire', '--folder', join(root, folderName), ...holder])
  const listed = await newRoot()
  const words = (root: string, lockId: unknown) => ['--dir', root, 'lock', 'release', String(lockId)]
  const steps = (await stepsOf({ root: listed, words: words(listed, (await acquire(listed)).json.lock_id) })).length
  for (let round = 0; round < rounds; round += 1) {
    const root = await newRoot()
    const { json } = await acquire(root)
    const killed = await interrupted({ root, words: words(root, json.lock_id), signal: 'SIGKILL' }, steps, random)
    const where = `LOCKSTEP_SEED=${seed}, step ${killed.step} of ${steps}: ${killed.stdout}${killed.stderr}`
    const met = await lookAt(root)
    equal(met.findings, [], where)
    const isReleased = met.entries.some(({ type }) => type === 'lock.released')
    const again = await lockstep(words(root, json.lock_id))
    is(again.status, 0, `${where}, then ${again.stdout}`)
    is(again.json.replayed, isReleased, where)
    equal((await lookAt(root)).findings, [], where)
  }
})

durable(
  'an init that was killed leaves a whole ledger or none, and the next init removes everything else',
  async () => {
    const listed = temporaryRoot()
    const steps = (await stepsOf({ root: listed, words: ['init', listed] })).length
    for (let round = 0; round < rounds; round += 1) {
      const root = temporaryRoot()
      const killed = await interrupted({ root, words: ['init', root], signal: 'SIGKILL' }, steps, random)
      const where = `LOCKSTEP_SEED=${seed}, step ${killed.step} of ${steps}: ${killed.stdout}${killed.stderr}`
      const isThere = existsSync(join(root, '.lockstep'))
      const again = await lockstep(['init', root])
      is(again.status, isThere ? 5 : 0, `${where}, then ${again.stdout}`)
      equal((await lookAt(root)).findings, [], where)
      equal(readdirSync(root), ['.lockstep'], where)
    }
  },
)

durable('a grant is answered although the head file cannot be written when the command ends', async () => {
  const root = await newRoot()
  const { json, status, stderr, stdout } = await lockstep(['--dir', root, 'lock', 'acquire', 'reports', ...holder], {
    preload: compiled('fixtures/crash/full-head.ts'),
  })
  is(status, 0, stdout)
  match(String(json.lock_id), /^lck_/)
  match(stderr, /head/, 'it is said')
  const { entries } = await lookAt(root)
  is(entries[Number(json.token)]?.type, 'lock.acquired')
})

durable('a first attempt that ended in contention is not remembered: the same lock_id is granted later', async () => {
  const root = await newRoot()
  const words = ['--dir', root, 'lock', 'acquire', 'reports', ...holder]
  const held = await lockstep(words)
  const wanted = [...words, '--lock-id', 'lck_wanted-by-somebody-else']
  is((await lockstep(wanted)).status, 75)
  is((await lockstep(['--dir', root, 'lock', 'release', String(held.json.lock_id)])).status, 0)
  const granted = await lockstep(wanted)
  is(granted.status, 0, granted.stdout)
  is(granted.json.replayed, false)
  ok(Number(granted.json.token) > Number(held.json.token))
  await endsWithVerify(root)
})

durable.run()
