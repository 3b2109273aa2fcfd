import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import { formatSubmission, parseSubmission } from '../../src/merkle/add-checkpoint.ts'
import { verifyCosignatures } from '../../src/merkle/cosignature.ts'
import { keyTypes, parseVkey, type Vkey } from '../../src/merkle/vkey.ts'
import { Witness } from '../../src/witness/witness.ts'
import { hexOf, sha256 } from '../merkle/model.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { newKey, verifyByNode } from '../support/witness-keys.ts'
import { LogOfLeaves, leavesOf } from './log-of-leaves.ts'

const test = suite('witness')
const at = 1_700_000_000
const name = 'witness.example/w1'
const log = new LogOfLeaves(leavesOf('a', 700, 900), { origin: 'example.com/log' })
const fork = new LogOfLeaves(leavesOf('b', 700, 900), { key: log.key, origin: log.origin })

async function keyOf(vkey: string, type: 1 | 4 = keyTypes.note): Promise<Vkey> {
  const key = await parseVkey(vkey, sha256, type)
  if (!key.ok) throw new Error(key.reason)
  return key.value
}

async function open(dir: string, ...vkeys: string[]): Promise<Witness> {
  const logs = await Promise.all((vkeys.length === 0 ? [log.key.vkey] : vkeys).map((vkey) => keyOf(vkey)))
  return Witness.open(dir, { logs, name, now: () => at })
}

async function statuses(witness: Witness, ...bodies: string[]): Promise<number[]> {
  const all: number[] = []
  for (const body of bodies) all.push((await witness.addCheckpoint(body)).status)
  return all
}

test('a checkpoint that extends the last one is cosigned, and kept', async () => {
  const dir = temporaryRoot()
  const witness = await open(dir)
  for (const [old, size] of [
    [0, 5],
    [5, 256],
    [256, 256],
    [256, 700],
  ] as const) {
    const answer = await witness.addCheckpoint(await log.submission(old, size))
    is(answer.status, 200, answer.body)
    is(answer.size, size)
    const note = (await log.checkpoint(size)) + answer.body
    const key = await keyOf(witness.vkey, keyTypes.cosignature)
    equal(await verifyCosignatures(note, [key], verifyByNode), { ok: true, value: [{ key, timestamp: at }] })
    is(await witness.checkpointOf(hexOf(sha256(Buffer.from(log.origin)))), note)
  }
  const reopened = await open(dir)
  is(reopened.vkey, witness.vkey)
  equal(await statuses(reopened, await log.submission(256, 800), await log.submission(700, 800)), [409, 200])
})

test('the size that was cosigned last is named to a caller who states another', async () => {
  const witness = await open(temporaryRoot())
  is((await witness.addCheckpoint(await log.submission(0, 300))).status, 200)
  for (const old of [0, 299, 301]) {
    const answer = await witness.addCheckpoint(await log.submission(old, 400))
    equal(answer, { status: 409, type: 'text/x.tlog.size', body: '300\n' })
  }
})

test('a fork is refused, at the same size and at a larger one', async () => {
  const witness = await open(temporaryRoot())
  is((await witness.addCheckpoint(await log.submission(0, 800))).status, 200)
  const same = await witness.addCheckpoint(await fork.submission(800, 800))
  equal([same.status, same.type], [409, 'text/plain; charset=utf-8'])
  match(same.body, /root differs/)
  is((await witness.addCheckpoint(await fork.submission(800, 850))).status, 422)
  is((await witness.addCheckpoint(await log.submission(800, 850))).status, 200)
})

test('what cannot be cosigned is refused with the status of C2SP, and changes nothing', async () => {
  const dir = temporaryRoot()
  const witness = await open(dir)
  is((await witness.addCheckpoint(await log.submission(0, 100))).status, 200)
  const good = await log.submission(100, 200)
  const parsed = parseSubmission(good)
  ok(parsed.ok)
  const { checkpoint, proof } = parsed.value
  const stranger = new LogOfLeaves(leavesOf('a', 700, 300), { key: newKey(log.origin), origin: log.origin })
  const unknown = new LogOfLeaves(leavesOf('a', 700, 300), { origin: 'example.com/other' })
  const rows: [status: number, body: string][] = [
    [400, ''],
    [400, 'old 100\n'],
    [400, good.replace('old', 'new')],
    [400, formatSubmission({ old: 100, proof, checkpoint: 'text without signatures\n' })],
    [400, formatSubmission({ old: 100, proof, checkpoint: checkpoint.replace('\n200\n', '\n0200\n') })],
    [400, formatSubmission({ old: 201, proof: [], checkpoint })],
    [403, await stranger.submission(100, 200)],
    [403, good.replace('\n200\n', '\n201\n')],
    [404, await unknown.submission(0, 200)],
    [409, formatSubmission({ old: 0, proof: [], checkpoint })],
    [422, formatSubmission({ old: 100, proof: proof.slice(1), checkpoint })],
    [422, formatSubmission({ old: 100, proof: [...proof, proof[0] ?? new Uint8Array(32)], checkpoint })],
    [422, formatSubmission({ old: 100, proof: [], checkpoint })],
  ]
  const before = readdirSync(dir, { recursive: true }).sort()
  for (const [index, [status, body]] of rows.entries()) {
    const answer = await witness.addCheckpoint(body)
    is(answer.status, status, `row ${index}: ${answer.body}`)
  }
  equal(readdirSync(dir, { recursive: true }).sort(), before)
  is((await witness.addCheckpoint(good)).status, 200)
})

test('of requests at the same time, those for one log are answered one after the other', async () => {
  const witness = await open(temporaryRoot())
  const bodies = await Promise.all([...Array(40).keys()].map((index) => log.submission(0, 100 + index)))
  const answers = await Promise.all(bodies.map((body) => witness.addCheckpoint(body)))
  equal(answers.map(({ status }) => status).sort(), [200, ...Array(39).fill(409)])
  ok(answers.slice(1).every(({ body, status }) => status !== 409 || body === '100\n'))
})

test('of two processes with one folder, only one advances a log', async () => {
  const dir = temporaryRoot()
  const [one, other] = [await open(dir), await open(dir)]
  for (let size = 10; size <= 600; size += 10) {
    const old = size - 10
    const answers = await Promise.all([
      one.addCheckpoint(await log.submission(old, size)),
      other.addCheckpoint(await log.submission(old, size)),
    ])
    const sorted = answers.map(({ status }) => status).sort()
    ok(sorted[0] === 200 && [200, 409, 503].includes(sorted[1] ?? 0), String(sorted))
  }
  equal((await one.addCheckpoint(await log.submission(0, 700))).body, '600\n')
})

test('all keys of a log are known, and each log has a head of its own', async () => {
  const [newer, other] = [newKey(log.origin), new LogOfLeaves(leavesOf('c', 0, 50), { origin: 'example.com/c' })]
  const rotated = new LogOfLeaves(leavesOf('a', 700, 900), { key: newer, origin: log.origin })
  const witness = await open(temporaryRoot(), log.key.vkey, newer.vkey, other.key.vkey)
  const bodies = [await log.submission(0, 10), await rotated.submission(10, 20), await other.submission(0, 50)]
  equal(await statuses(witness, ...bodies, await log.submission(20, 30)), [200, 200, 200, 200])
})

test('a folder with a changed head is not opened', async () => {
  const dir = temporaryRoot()
  const witness = await open(dir)
  is((await witness.addCheckpoint(await log.submission(0, 100))).status, 200)
  const folder = join(dir, 'heads', hexOf(sha256(Buffer.from(log.origin))))
  const file = join(folder, '1')
  const note = readFileSync(file, 'utf8')
  for (const changed of [
    note.replace('\n100\n', '\n099\n'),
    note.split('\n').slice(0, 5).join('\n'),
    '',
    await log.checkpoint(90),
  ]) {
    writeFileSync(file, changed)
    const error = await open(dir).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    is(error instanceof LockstepError ? error.code : error, 'LEDGER_CORRUPT')
    const failed = await witness.addCheckpoint(await log.submission(0, 100)).catch((thrown: unknown) => thrown)
    is(failed instanceof LockstepError ? failed.code : failed, 'LEDGER_CORRUPT')
  }
  writeFileSync(file, note)
  equal(await statuses(await open(dir), await log.submission(100, 200)), [200])
})

test('half-written files of a killed witness are removed', async () => {
  const dir = temporaryRoot()
  await open(dir)
  const folder = join(dir, 'heads', hexOf(sha256(Buffer.from(log.origin))))
  mkdirSync(folder)
  writeFileSync(join(folder, '1.0123456789abcdef.tmp'), 'half')
  equal(await statuses(await open(dir), await log.submission(0, 100)), [200])
  equal(readdirSync(folder), ['1'])
})

test('a new witness needs a valid name, and keeps it', async () => {
  const dir = temporaryRoot()
  const codeOf = async (chosen: string | undefined) => {
    const error = await Witness.open(dir, { logs: [], name: chosen, now: () => at }).catch((thrown: unknown) => thrown)
    return error instanceof LockstepError ? error.code : 'opened'
  }
  is(await codeOf(undefined), 'INVALID_INPUT')
  is(await codeOf('with space'), 'INVALID_INPUT')
  is(existsSync(join(dir, 'key')), false)
  is(await codeOf(name), 'opened')
  is(await codeOf(undefined), 'opened')
  is(await codeOf('witness.example/w2'), 'INVALID_INPUT')
})

const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 10)

test('any sequence of requests leaves the witness with one history', async () => {
  const sizes = fc.integer({ min: 0, max: 900 })
  const request = fc.record({ isFork: fc.boolean(), old: fc.option(sizes), reopen: fc.boolean(), size: sizes })
  await fc.assert(
    fc.asyncProperty(fc.array(request, { maxLength: 12 }), async (requests) => {
      const dir = temporaryRoot()
      let witness = await open(dir)
      let state: { branch: LogOfLeaves; size: number } | undefined
      for (const { isFork, old: stated, reopen, size } of requests) {
        if (reopen) witness = await open(dir)
        const branch = isFork ? fork : log
        const from = state?.size ?? 0
        const old = Math.min(stated ?? from, size)
        const answer = await witness.addCheckpoint(await branch.submission(old, size))
        const isExtension = state === undefined || hexOf(branch.root(from)) === hexOf(state.branch.root(from))
        const expected = old !== from ? 409 : isExtension ? 200 : size === from ? 409 : 422
        is(answer.status, expected, `${old} ${size} ${isFork} after ${from}`)
        if (answer.status === 200) state = { branch, size }
      }
    }),
    { numRuns: rounds },
  )
})

test.run()
