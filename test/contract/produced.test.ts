import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { ajvOf } from '../../contract/schema-places.ts'
import {
  auditEventSchema,
  entrySchema,
  issueSchema,
  lockContentionSchema,
  lockFileSchema,
  promotionResultSchema,
  renderedEvent,
  runLockSchema,
  runRecordSchema,
  tombstoneSchema,
  tripletSchema,
} from '../../src/contract.ts'
import { contentionWithWaiters } from '../../src/domain/lock/report.ts'
import { LockstepError } from '../../src/errors.ts'
import { hold } from '../../src/lease.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { testClock, withLedger } from '../support/ledger.ts'

const test = suite('what a ledger produces, under Contract v1')

const zodSchemas = {
  audit_event: auditEventSchema,
  entry: entrySchema,
  issue: issueSchema,
  lock_contention: lockContentionSchema,
  promotion_result: promotionResultSchema,
  tombstone: tombstoneSchema,
  triplet: tripletSchema,
  lock_file: lockFileSchema,
  run_lock: runLockSchema,
  run_record: runRecordSchema,
}
const becca = { actor_id: 'BECCA', actor_type: 'human' } as const
const other = { actor_id: 'agent-2', actor_type: 'agent' } as const

const names = Object.keys(zodSchemas)
const ajv = ajvOf(...names.map((name) => parse(readFileSync(`contract/v1/schemas/${name}.schema.yaml`, 'utf8'))))

function conforms(name: keyof typeof zodSchemas, document: unknown): void {
  const isValid = ajv.validate(`urn:lockstep:contract:v1:${name}`, document)
  assert.ok(isValid, `${name}: ${ajv.errorsText()} in ${JSON.stringify(document, null, 2)}`)
  assert.ok(zodSchemas[name].safeParse(document).success, `${name}: zod refuses ${JSON.stringify(document, null, 2)}`)
}

/** Every entry conforms, and so does the audit event that it renders as; answers with the types there were. */
async function entriesConform(ledger: LocalLedger): Promise<Set<string>> {
  const types = new Set<string>()
  for await (const entry of ledger.log.read()) {
    conforms('entry', JSON.parse(JSON.stringify(entry)))
    conforms('audit_event', JSON.parse(JSON.stringify(renderedEvent(entry))))
    types.add(entry.type)
  }
  return types
}

/** The problem document that a call is refused with. */
async function problemOf(call: Promise<unknown>, code: string): Promise<Record<string, unknown>> {
  try {
    await call
  } catch (error) {
    assert.instance(error, LockstepError)
    const problem = JSON.parse(JSON.stringify(error))
    assert.is(problem.code, code, problem.message)
    if (code === 'LOCK_CONTENTION') conforms('lock_contention', problem)
    return problem
  }
  throw new Error(`was not refused with ${code}`)
}

const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8'))
const typesOf = (...words: string[]) => new Set(['ledger.created', ...words])

test('a resource: every event of its life, contention, audit events and their guard', async () => {
  const clock = testClock()
  await withLedger(
    async (ledger) => {
      const name = 'reports'
      const { lock_id, token } = await hold(ledger, { name, holder: 'agent-1', lease_duration_s: 60 })
      const report = await problemOf(hold(ledger, { name, holder: 'agent-2', actor: other }), 'LOCK_CONTENTION')
      assert.is(report.lease_remaining_s, 60)
      await problemOf(hold(ledger, { name, holder: 'agent-1', pids: [] }), 'LOCK_CONTENTION')
      await ledger.locks.renew({ lock_id })
      const hash = 'AB'.repeat(32)
      const event = { action_type: 'system', outcome: 'success', request_hash_sha256: hash } as const
      await ledger.audit.append({
        events: [event, { ...event, target: { name: 'reports', target_type: 'artifact' } }],
        correlation_id: 'request-1',
        guard: { name, token },
        idempotency_key: 'key-1',
      })
      clock.advance(60_000)
      await problemOf(ledger.audit.append({ events: [event], guard: { name, token } }), 'LEASE_EXPIRED')
      const next = await hold(ledger, { name, holder: 'agent-2', actor: other, pids: [] })
      await problemOf(ledger.audit.append({ events: [event], guard: { name, token } }), 'STALE_TOKEN')
      await problemOf(ledger.locks.break({ name, reason: 'no' }), 'RELEASE_DENIED')
      await ledger.locks.break({ name, reason: 'wrong\nfolder', actor: becca })
      await problemOf(ledger.locks.release({ lock_id: next.lock_id, actor: other }), 'LOCK_NOT_HELD')
      const last = await hold(ledger, { name, holder: 'agent-1' })
      await ledger.locks.release({ lock_id: last.lock_id, outcome: 'failure' })
      assert.equal(
        await entriesConform(ledger),
        typesOf(
          'lock.acquired',
          'lock.renewed',
          'audit.recorded',
          'lock.refused',
          'lock.recovered',
          'lock.broken',
          'lock.released',
        ),
      )
    },
    { now: clock.now },
  )
})

test('a lock with waiters', () => {
  for (const name of ['resource:reports', 'deliverable:DEL-08-05', 'deliverable:east/DEL-08-05']) {
    const { code, details, message } = contentionWithWaiters(name, 2, testClock().now())
    conforms('lock_contention', new LockstepError(code, message, { details }).toJSON())
  }
})

test('a deliverable: its file, and changes by other tools', async () => {
  await withLedger(async (ledger, root) => {
    const folder = join(root, 'pkg', 'DEL-08-05_Locks')
    const file = join(folder, '.lock')
    mkdirSync(folder, { recursive: true })
    const contender = { folder, holder: 'TASK', actor: other }

    const first = await hold(ledger, { folder, holder: 'TASK' })
    conforms('lock_file', readJson(file))
    rmSync(file)
    const report = await problemOf(hold(ledger, contender), 'LOCK_CONTENTION')
    assert.is(report.deliverable_id, 'DEL-08-05')
    await ledger.locks.renew({ lock_id: first.lock_id })
    conforms('lock_file', readJson(file))

    const foreign = { deliverable_id: 'DEL-08-05', holder: 'SOMEONE', acquired: new Date().toISOString() }
    writeFileSync(file, JSON.stringify({ ...foreign, lease_duration_s: 900, pid: process.pid }))
    await problemOf(ledger.locks.renew({ lock_id: first.lock_id }), 'LEASE_LOST')
    assert.is((await problemOf(hold(ledger, contender), 'LOCK_CONTENTION')).holder, 'SOMEONE')
    writeFileSync(file, 'not JSON')
    assert.is((await problemOf(hold(ledger, contender), 'LOCK_CONTENTION')).holder, 'unreadable')
    await ledger.locks.recover({ name: 'deliverable:DEL-08-05', folder, reason: 'left by a crash' })

    const last = await hold(ledger, contender)
    await problemOf(ledger.locks.retire({ folder }), 'LOCK_IS_HELD')
    await ledger.locks.release({ lock_id: last.lock_id, actor: other })
    await ledger.locks.retire({ folder, reason: 'it moves' })
    assert.equal(
      await entriesConform(ledger),
      typesOf(
        'lock.acquired',
        'lock.file_restored',
        'lock.renewed',
        'lock.lost',
        'lock.recovered',
        'lock.released',
        'lock.retired',
      ),
    )
  })
})

test('a project: RUN_LOCK.json while LOCKED and RELEASED, contention, and files the ledger does not know', async () => {
  await withLedger(async (ledger, root) => {
    const runId = (seq: number) => `run_TEST001_iambecca-test-run_2026-02-02_00${seq}`
    const fileOf = (seq: number) => join(root, 'runtime/runs', runId(seq), 'RUN_LOCK.json')
    const target_name = 'IAMBECCA | TEST001 | GOVERNANCE | iambecca-test-run | NEO'

    await ledger.locks.acquire({ target_name, run_id: runId(1) })
    await ledger.locks.release({ run_id: runId(1), final_status: 'COMPLETE', actor: becca })
    const released = readJson(fileOf(1))
    conforms('run_lock', released)
    assert.is(released.status, 'RELEASED')

    await ledger.locks.acquire({ target_name, run_id: runId(2) })
    await problemOf(ledger.locks.acquire({ target_name, run_id: runId(3) }), 'LOCK_CONTENTION')
    const override = { final_status: 'HALTED', override: true, reason: 'the host is gone', actor: becca } as const
    await ledger.locks.release({ run_id: runId(2), ...override })
    conforms('run_lock', readJson(fileOf(2)))

    mkdirSync(dirname(fileOf(4)), { recursive: true })
    const unknown = {
      ...readJson('fixtures/contract/run_lock/locked.json'),
      run_id: runId(4),
      lock_owner: runId(4),
    }
    writeFileSync(fileOf(4), JSON.stringify(unknown))
    const report = await problemOf(ledger.locks.acquire({ target_name, run_id: runId(5) }), 'LOCK_CONTENTION')
    assert.is(report.retry_after_s, 60)
    await ledger.locks.importFile({ file: fileOf(4), set_aside: true, reason: 'of a run that never was', actor: becca })
    await ledger.locks.acquire({ target_name, run_id: runId(5) })
    await ledger.locks.importFile({ file: fileOf(5) })
    conforms('run_lock', readJson(fileOf(5)))
    assert.is(readJson(fileOf(5)).status, 'LOCKED')
    assert.equal(await entriesConform(ledger), typesOf('lock.acquired', 'lock.released', 'lock.file_set_aside'))
  })
})

test('a governed run: its record at every step, and every event of its life', async () => {
  const clock = testClock()
  await withLedger(
    async (ledger) => {
      const { runs } = ledger
      const of = { lane_id: 'TOOL_INTERVIEW_CAPTURE', role_id: 'INTERVIEW_AGENT', case_id: 'CASE-17' }
      const record = async (answer: Promise<unknown>) => {
        const document = JSON.parse(JSON.stringify(await answer))
        conforms('run_record', document)
        return document
      }
      await ledger.policy.reload()
      const { run_id } = await record(runs.create({ ...of, run_kind: 'tool_gateway', tags: ['one'], notes: 'a note' }))
      await record(runs.start({ run_id, lease_duration_s: 60, taxonomy_versions: { coa: '2026.1' } }))
      await record(runs.heartbeat({ run_id }))
      const scope = { case_id: 'CASE-17', client_session_id: 's-1', run_id }
      const action = {
        action_type: 'tool_call',
        lane_id: of.lane_id,
        scope,
        target: { name: 'dictation.start' },
      } as const
      const { decision_id } = await runs.authorize({ run_id, action })
      await record(runs.record({ run_id, decision_id, outcome: 'success', request_hash_sha256: 'AB'.repeat(32) }))
      await problemOf(runs.start({ run_id }), 'INVALID_STATE_TRANSITION')
      clock.advance(60_000)
      await problemOf(runs.complete({ run_id, outcome_reason: 'done' }), 'RUN_LEASE_EXPIRED')
      const again = await record(runs.retry({ run_id, retry_reason: 'the lease ran out' }))
      await record(runs.cancel({ run_id: again.run_id, outcome_reason: 'no need' }))
      const denied = await record(runs.create({ run_kind: 'agent' }))
      await problemOf(runs.start({ run_id: denied.run_id }), 'RUN_DENIED')
      const top = await record(runs.create({ run_kind: 'orchestrator' }))
      await record(runs.start({ run_id: top.run_id }))
      await record(runs.complete({ run_id: top.run_id, outcome_reason: 'done' }))
      for (const run of (await runs.list()).runs) await record(Promise.resolve(run))
      const ends = ['run.completed', 'run.failed', 'run.denied', 'run.cancelled']
      const steps = [
        'run.created',
        'run.decided',
        'run.started',
        'run.renewed',
        'run.acted',
        'run.refused',
        'run.retried',
      ]
      assert.equal([...(await entriesConform(ledger))].sort(), [...typesOf('policy.loaded', ...steps, ...ends)].sort())
    },
    { now: clock.now },
  )
})

test('a run with turns: every event, the records and the result of a promotion', async () => {
  await withLedger(async (ledger) => {
    await ledger.policy.reload()
    const run_id = 'run_turns_1'
    await ledger.runs.create({ run_id, run_kind: 'orchestrator' })
    await ledger.runs.start({ run_id })
    const turn = (turn_id: string) => ({ run_id, turn_id })
    const body = { dto_type: 'note', id: 'N-1' }
    const conformsIssues = (issues: readonly unknown[]) => {
      for (const issue of issues) conforms('issue', issue)
    }
    await problemOf(ledger.turns.promote(turn('turn-0007')), 'E_PROMOTION_OUT_OF_ORDER')
    const wrong = await problemOf(
      ledger.turns.stage({ ...turn('turn-0001'), triplets: [{ stem: '..', body: {} }] }),
      'E_STEM_INVALID',
    )
    conformsIssues(wrong.issues as unknown[])
    const links = { up: { type: 'note', id: 'N-2' } }
    await ledger.turns.stage({ ...turn('turn-0001'), triplets: [{ stem: 'one', body, links }] })
    conformsIssues((await ledger.turns.validate(turn('turn-0001'))).issues)
    await ledger.turns.apply({
      ...turn('turn-0001'),
      triplets: [
        { stem: 'one', body, base_digest: null },
        { stem: 'two', body: {} },
      ],
    })
    for await (const triplet of ledger.workspaces.triplets({ run_id })) conforms('triplet', triplet)
    const tombstone = { kind: 'tombstone', stem: 'one', ...body, deleted_by_turn_id: 'turn-0002' }
    conforms('tombstone', tombstone)
    const { delta_digest, deleted_stems, issues, outcome, promoted_stems } = await ledger.turns.apply({
      ...turn('turn-0002'),
      tombstones: [tombstone],
    })
    conforms('promotion_result', { delta_digest, deleted_stems, issues, outcome, promoted_stems })
    await ledger.workspaces.pin({ name: 'release-1', run_id })
    await ledger.workspaces.unpin({ name: 'release-1', run_id })
    await ledger.turns.stage({ ...turn('turn-0003'), triplets: [{ stem: 'three', body: {} }] })
    await problemOf(ledger.runs.complete({ run_id, outcome_reason: 'done' }), 'RUN_HAS_OPEN_TURN')
    conforms(
      'run_record',
      JSON.parse(JSON.stringify(await ledger.runs.complete({ run_id, outcome_reason: 'done', discard_turn: true }))),
    )
    const types = [...(await entriesConform(ledger))].filter((type) => type.startsWith('turn.')).sort()
    assert.equal(types, [
      'turn.pinned',
      'turn.promoted',
      'turn.promotion_rejected',
      'turn.rejected',
      'turn.staged',
      'turn.staging_rejected',
      'turn.unpinned',
      'turn.validated',
    ])
  })
})

test.run()
