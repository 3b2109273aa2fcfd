import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Api } from '../../src/api/api.ts'
import { formsOf } from '../../src/api/operation.ts'
import { everyOperation } from '../../src/api/operations.ts'
import { type Code, codes, LockstepError } from '../../src/errors.ts'
import { hold } from '../../src/lease.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const hostile = suite('hostile input')

type Call = (ledger: LocalLedger, root: string) => unknown
type Row = [what: string, code: Code, call: Call]

/** Whatever comes from outside is not typed; the table says so once. */
const anything = (value: unknown) => value as never
const resource =
  (members: Record<string, unknown>): Call =>
  (ledger) =>
    hold(ledger, anything({ holder: 'h', name: 'n', ...members }))
const event =
  (members: Record<string, unknown>): Call =>
  (ledger) =>
    ledger.audit.append({ events: [anything({ action_type: 'system', outcome: 'success', ...members })] })
const withOptions =
  (options: Record<string, unknown>): Call =>
  (ledger) =>
    ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success' }], ...options } as never)
const folder =
  (make: (root: string) => string): Call =>
  (ledger, root) =>
    hold(ledger, { folder: make(root), holder: 'h' })

function made(root: string, name: string): string {
  const path = join(root, name)
  mkdirSync(path, { recursive: true })
  return path
}

const rows: Row[] = [
  ['an empty name', 'INVALID_INPUT', resource({ name: '' })],
  ['a blank name', 'INVALID_INPUT', resource({ name: '  ' })],
  ['a name one byte too long', 'INVALID_INPUT', resource({ name: 'x'.repeat(201) })],
  ['a name too long in UTF-8 only', 'INVALID_INPUT', resource({ name: 'é'.repeat(101) })],
  ['a name with NUL', 'INVALID_INPUT', resource({ name: 'a\u0000b' })],
  ['a name with a line break', 'INVALID_INPUT', resource({ name: 'a\nb' })],
  ['a name with a lone surrogate', 'INVALID_INPUT', resource({ name: 'a\ud800' })],
  ['a name of another kind', 'INVALID_INPUT', resource({ name: 'project:A/B/c' })],
  ['a name that is a number', 'INVALID_INPUT', resource({ name: 7 })],
  ['a name that is an object', 'INVALID_INPUT', resource({ name: { toString: () => 'n' } })],
  ['no holder', 'INVALID_INPUT', resource({ holder: undefined })],
  ['a huge holder', 'INVALID_INPUT', resource({ holder: 'h'.repeat(1_000_000) })],
  ['a lease of 0', 'INVALID_INPUT', resource({ lease_duration_s: 0 })],
  ['a lease one second too long', 'INVALID_INPUT', resource({ lease_duration_s: 86_401 })],
  ['a lease of one and a half seconds', 'INVALID_INPUT', resource({ lease_duration_s: 1.5 })],
  ['a lease that is not a number', 'INVALID_INPUT', resource({ lease_duration_s: Number.NaN })],
  ['a lease of 2^53', 'INVALID_INPUT', resource({ lease_duration_s: 2 ** 53 })],
  ['a lease in words', 'INVALID_INPUT', resource({ lease_duration_s: '900' })],
  ['a lock_id that was not minted', 'INVALID_INPUT', resource({ lock_id: 'mine' })],
  ['a pid of 0', 'INVALID_INPUT', resource({ pids: [0] })],
  ['a pid of nobody', 'PID_NOT_FOUND', resource({ pids: [4_194_304] })],
  ['too many pids', 'INVALID_INPUT', resource({ pids: [1, 1, 1, 1, 1] })],
  ['a member nobody knows', 'INVALID_INPUT', resource({ token: 3 })],
  ['a member called __proto__', 'INVALID_INPUT', resource(JSON.parse('{"__proto__": {"holder": "x"}}'))],
  ['a member called constructor', 'INVALID_INPUT', resource({ constructor: 1 })],
  ['a member called 10', 'INVALID_INPUT', resource({ 10: 1 })],
  ['an actor without a type', 'INVALID_INPUT', resource({ actor: { actor_id: 'a' } })],
  ['an actor with a line break', 'INVALID_INPUT', resource({ actor: { actor_id: 'a\nb', actor_type: 'agent' } })],
  ['no request at all', 'INVALID_INPUT', (ledger) => hold(ledger, anything({}))],
  ['a lock_id of nobody', 'LOCK_NOT_HELD', (ledger) => ledger.locks.release({ lock_id: 'lck_0000000000000000' })],
  ['a renewal of nobody', 'LOCK_NOT_HELD', (ledger) => ledger.locks.renew({ lock_id: 'lck_0000000000000000' })],
  ['a recovery without a reason', 'INVALID_INPUT', (ledger) => ledger.locks.recover(anything({ name: 'n' }))],
  ['a blank reason', 'INVALID_INPUT', (ledger) => ledger.locks.break({ name: 'n', reason: ' \n' })],
  ['the status of nothing', 'NOT_FOUND', async (ledger) => ledger.locks.status({ name: 'n' })],
  ['a seq past the end', 'NOT_FOUND', async (ledger) => ledger.log.prove({ seq: 10 ** 6 })],
  ['a seq that is a fraction', 'INVALID_INPUT', async (ledger) => ledger.log.prove({ seq: 0.5 })],
  ['a size past the end', 'INVALID_INPUT', async (ledger) => ledger.log.prove({ seq: 0, size: 10 ** 6 })],
  ['a consistency from the future', 'INVALID_INPUT', async (ledger) => ledger.log.consistency({ from: 10 ** 6 })],
  ['an event without an outcome', 'INVALID_INPUT', event({ outcome: undefined })],
  ['an event of a run', 'INVALID_INPUT', event({ action_type: 'tool_call' })],
  ['an event with a member nobody knows', 'INVALID_INPUT', event({ prompt: 'all of it' })],
  ['an event with huge notes', 'INVALID_INPUT', event({ notes: 'n'.repeat(1_001) })],
  ['an event with a lone surrogate', 'INVALID_INPUT', event({ notes: 'n\udc00' })],
  ['a hash that is none', 'INVALID_INPUT', event({ request_hash_sha256: 'ff' })],
  ['no events', 'INVALID_INPUT', (ledger) => ledger.audit.append({ events: [] })],
  [
    'too many events',
    'INVALID_INPUT',
    (ledger) => ledger.audit.append({ events: Array(1_001).fill({ action_type: 'system', outcome: 'success' }) }),
  ],
  ['events that are a text', 'INVALID_INPUT', (ledger) => ledger.audit.append({ events: anything('[]') })],
  ['a guard with a token of -1', 'INVALID_INPUT', withOptions({ guard: { name: 'n', token: -1 } })],
  ['a guard that is not current', 'STALE_TOKEN', withOptions({ guard: { name: 'n', token: 0 } })],
  ['a request key with NUL', 'INVALID_INPUT', withOptions({ idempotency_key: 'a\u0000' })],
  ['another size than expected', 'SIZE_MISMATCH', withOptions({ expected_size: 999 })],
  ['a folder that is not there', 'NOT_FOUND', folder((root) => join(root, 'DEL-01-01_None'))],
  ['a folder without an id', 'LOCK_PLACEMENT', folder((root) => made(root, 'Deliverable'))],
  ['a folder whose id is cut', 'LOCK_PLACEMENT', folder((root) => made(root, 'DEL-1-01_Cut'))],
  ['the root itself', 'LOCK_PLACEMENT', folder((root) => root)],
  ['a folder outside', 'LOCK_PLACEMENT', folder(() => made(temporaryRoot(), 'DEL-01-02_Out'))],
  [
    'a folder outside by dots',
    'LOCK_PLACEMENT',
    folder((root) => `${made(root, 'a')}/${relative(join(root, 'a'), tmpdir())}/.`),
  ],
  [
    'a folder that leads outside by a link',
    'LOCK_PLACEMENT',
    folder((root) => {
      symlinkSync(made(temporaryRoot(), 'DEL-01-03_Real'), join(root, 'DEL-01-03_Link'))
      return join(root, 'DEL-01-03_Link')
    }),
  ],
  [
    'a folder that is a file',
    'INVALID_INPUT',
    folder((root) => {
      writeFileSync(join(root, 'DEL-01-04_File'), '')
      return join(root, 'DEL-01-04_File')
    }),
  ],
  [
    'a lock file that is a link',
    'LOCK_PLACEMENT',
    folder((root) => {
      const path = made(root, 'DEL-01-05_Link')
      symlinkSync('/etc/passwd', join(path, '.lock'))
      return path
    }),
  ],
  ['a lock file that is a folder', 'LOCK_PLACEMENT', folder((root) => join(made(root, 'DEL-01-06_Dir/.lock'), '..'))],
  [
    'a lock file that differs in case',
    'LOCK_PLACEMENT',
    folder((root) => {
      writeFileSync(join(made(root, 'DEL-01-07_Case'), '.LOCK'), '')
      return join(root, 'DEL-01-07_Case')
    }),
  ],
  [
    'a lock file that cannot be read as one',
    'LOCK_CONTENTION',
    folder((root) => {
      writeFileSync(join(made(root, 'DEL-01-08_Cut'), '.lock'), '{"holder": "')
      return join(root, 'DEL-01-08_Cut')
    }),
  ],
  [
    'a lock file of a mebibyte',
    'LOCK_CONTENTION',
    folder((root) => {
      writeFileSync(join(made(root, 'DEL-01-09_Huge'), '.lock'), ' '.repeat(2 ** 20))
      return join(root, 'DEL-01-09_Huge')
    }),
  ],
  [
    'a target of four words',
    'INVALID_INPUT',
    (ledger) => ledger.locks.acquire({ target_name: 'IAMBECCA | A | B | c', run_id: 'run_A_c_2026-02-02_001' }),
  ],
  [
    'a target with a path in it',
    'INVALID_INPUT',
    (ledger) => ledger.locks.acquire({ target_name: 'IAMBECCA | .. | B | c | N', run_id: 'run_A_c_2026-02-02_001' }),
  ],
  [
    'a run_id on the 30th of February',
    'INVALID_INPUT',
    (ledger) => ledger.locks.acquire({ target_name: 'IAMBECCA | A | B | c | N', run_id: 'run_A_c_2026-02-30_001' }),
  ],
  [
    'a run_id with a path in it',
    'INVALID_INPUT',
    (ledger) =>
      ledger.locks.acquire({ target_name: 'IAMBECCA | A | B | c | N', run_id: '../../run_A_c_2026-02-02_001' }),
  ],
]

/** Refusals that the ledger keeps: the only entries that hostile input may leave. */
const recorded = new Set<Code>(['LOCK_NOT_HELD', 'STALE_TOKEN'])
const exits = new Set([2, 3, 4, 5, 75])

let root = ''
let ledger: LocalLedger

hostile.before(async () => {
  root = temporaryRoot()
  ledger = await openLedger({ dir: root, create: true, policy: false, actor: testActor, self_check: true })
})

hostile.after(async () => {
  await ledger.close()
  await endsWithVerify(root)
})

for (const [what, code, call] of rows) {
  hostile(`${what} is ${code}, and nothing changes`, async () => {
    const before = (await ledger.head.get()).size
    const refusal = await Promise.resolve()
      .then(() => call(ledger, root))
      .then(
        () => undefined,
        (error: unknown) => error,
      )
    assert.instance(refusal, LockstepError, String(refusal))
    const error = refusal as LockstepError
    assert.is(error.code, code, error.message)
    assert.ok(exits.has(codes[error.code].exit))
    assert.ok(error.message.length < 2_000, 'a message never carries its payload')
    assert.ok((await ledger.head.get()).size - before <= (recorded.has(code) ? 1 : 0))
    assert.equal((await ledger.locks.list()).locks, [])
  })
}

hostile('that is not a request is refused by every call, with a code', async () => {
  const found: string[] = []
  let called = 0
  for (const { facts, name, noun, verb } of everyOperation()) {
    const methods = ledger[noun as keyof Api] as unknown as Record<string, (given: unknown) => unknown>
    // An operation without a required member takes no input for an empty one.
    const isOptional = formsOf(facts).get('')?.safeParse({}).success === true
    for (const given of [undefined, null, 7, 'x', true, [], () => {}, { actor: 7 }]) {
      if (given === undefined && isOptional) continue
      called += 1
      const error = await errorOf(() => methods[verb]?.(given))
      const isRefused = error instanceof LockstepError && error.code === 'INVALID_INPUT'
      if (!isRefused) found.push(`${name}(${String(given)}): ${error}`)
    }
  }
  assert.ok(called > 300, `${called} calls`)
  assert.equal(found, [])
})

async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    const answer = await call()
    if (Symbol.asyncIterator in Object(answer)) for await (const _ of answer as AsyncIterable<unknown>) break
    return undefined
  } catch (error) {
    return error
  }
}

hostile.run()
