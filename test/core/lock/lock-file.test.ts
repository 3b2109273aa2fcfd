import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { isoMillis } from '../../../src/domain/lock/iso-time.ts'
import type { Liveness } from '../../../src/domain/lock/liveness.ts'
import {
  fileOrphanReason,
  type LockFileFacts,
  lockFileName,
  lockFileOfGrant,
  lockFileText,
  parseLockFile,
} from '../../../src/domain/lock/lock-file.ts'
import { fixture } from '../../merkle/model.ts'
import { root } from '../../runner.ts'
import { acquireDeliverable, evidenceOf, renewDeliverable } from './steps.ts'
import { World, worker } from './world.ts'

type Files = {
  read: { title: string; content: Record<string, unknown> }[]
  unreadable: { title: string; content?: unknown; text?: string }[]
  orphans: { title: string; age_ms: number; running: boolean; reason: string | null }[]
}

const test = suite('lock file')
const files = fixture<Files>('lock/lock-files.json')
const facts: LockFileFacts = {
  acquired: '2026-02-02T12:00:00.000Z',
  deliverable_id: 'DEL-08-05',
  evidence: [evidenceOf(100)],
  holder: 'TASK',
  lease_duration_s: 1_800,
  ledger: 'lockstep.local/testledger00',
  lock_ref: '0123456789abcdef',
}

test('its name is .lock', () => assert.is(lockFileName, '.lock'))

test('its name is written once in the code (REQ-LOCK-001a)', () => {
  const src = join(root, 'src')
  const naming = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
    (path) => path.endsWith('.ts') && /(['"`])\.lock\1/.test(readFileSync(join(src, path), 'utf8')),
  )
  assert.equal(naming, ['domain/lock/lock-file.ts'])
})

test('it has the six fields of REQ-LOCK-002 first, then the members that only Lockstep reads', () => {
  const text = lockFileText(facts)
  assert.equal(Object.entries(JSON.parse(text)), [
    ['schema_version', '1.0'],
    ['deliverable_id', 'DEL-08-05'],
    ['holder', 'TASK'],
    ['acquired', '2026-02-02T12:00:00.000Z'],
    ['lease_duration_s', 1_800],
    ['pid', 100],
    ['ledger', 'lockstep.local/testledger00'],
    ['lock_ref', '0123456789abcdef'],
    ['evidence', [evidenceOf(100)]],
  ])
  assert.equal(parseLockFile(text), JSON.parse(text))
})

test('it is pretty JSON, padded with spaces to 1,024 bytes and a line', () => {
  const text = lockFileText(facts)
  assert.is(Buffer.byteLength(text), 1_024)
  assert.is(text, `${JSON.stringify(JSON.parse(text), null, 2).padEnd(1_023)}\n`)
})

test('a holder is measured in bytes', () => {
  assert.is(Buffer.byteLength(lockFileText({ ...facts, holder: 'ü'.repeat(100) })), 1_024)
})

test('text of exactly 1,024 bytes is not padded by another 1,024', () => {
  const spaces = lockFileText(facts).trimEnd().length
  const filling = { ...facts, holder: 'h'.repeat(4 + 1_023 - spaces) }
  assert.is(Buffer.byteLength(lockFileText(filling)), 1_024)
  assert.is(Buffer.byteLength(lockFileText({ ...filling, holder: `${filling.holder}h` })), 2_048)
})

test('many processes make the file as large as they need', () => {
  const text = lockFileText({ ...facts, evidence: [1, 2, 3, 4].map(evidenceOf) })
  assert.is(Buffer.byteLength(text) % 1_024, 0)
  assert.equal(parseLockFile(text)?.evidence?.length, 4)
  assert.is(parseLockFile(text)?.pid, 1)
})

test('a renewal rewrites it with its new time and the same length', () => {
  const world = new World()
  const acquire = acquireDeliverable('DEL-08-05')
  world.run(acquire.command(world), worker)
  const textOfGrant = () => {
    const grant = world.grantOf('deliverable:DEL-08-05')
    if (grant === null) throw new Error('no grant')
    return lockFileOfGrant(grant, facts.ledger)
  }
  const before = textOfGrant()
  world.pass(1_234)
  world.run(renewDeliverable('DEL-08-05').command(world), worker)
  const after = textOfGrant()
  assert.is(after.length, before.length)
  assert.equal(parseLockFile(after), { ...parseLockFile(before), acquired: '2026-02-02T12:00:01.234Z' })
})

for (const { title, content } of files.read) {
  test(`it is read, with its time in UTC: ${title}`, () => {
    const acquired = new Date(isoMillis(String(content.acquired)) ?? Number.NaN).toISOString()
    for (const mark of ['', '\ufeff']) {
      assert.equal(parseLockFile(mark + JSON.stringify(content)), { ...content, acquired })
    }
  })
}

test('white space around it and the order of its keys do not matter', () => {
  const [row] = files.read
  const content = Object.fromEntries(Object.entries(row?.content ?? {}).reverse())
  assert.equal(parseLockFile(`\n ${JSON.stringify(content, null, 8)}   \n`), content)
})

for (const { title, content, text = JSON.stringify(content) } of files.unreadable) {
  test(`it cannot be read: ${title}`, () => assert.is(parseLockFile(text), undefined))
}

for (const { title, age_ms, running, reason } of files.orphans) {
  test(`a file of another tool ${title}: ${reason ?? 'held'}`, () => {
    const file = parseLockFile(JSON.stringify(files.read[0]?.content))
    if (file === undefined) throw new Error('unreadable')
    const wallMillis = Date.parse(file.acquired) + age_ms
    const liveness: Liveness = running ? { alive: 'yes' } : { alive: 'no', reason: 'pid_dead' }
    assert.is(fileOrphanReason(file, wallMillis, liveness), reason ?? undefined)
  })
}

test('a file of another tool whose process cannot be checked is held until its lease is over', () => {
  const file = parseLockFile(JSON.stringify(files.read[0]?.content))
  if (file === undefined) throw new Error('unreadable')
  const end = Date.parse(file.acquired) + file.lease_duration_s * 1_000
  assert.is(fileOrphanReason(file, end - 1, { alive: 'unknown' }), undefined)
  assert.is(fileOrphanReason(file, end, { alive: 'unknown' }), 'lease_expired')
})

test.run()
