import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, not, ok } from 'uvu/assert'
import { hold } from '../../src/lease.ts'
import { deadHolder, foreignText, refusalOf } from '../support/deliverable.ts'
import { typesAppended } from '../support/entries.ts'
import { scene } from '../support/scene.ts'

const name = 'deliverable:DEL-08-05'
const minute = 60_000
const config = { operators: ['ann'], write_scopes: { 'agent-1': 'deliverable-local', ORCHESTRATOR: 'tool-root-only' } }
const orchestrator = { actor_id: 'agent-7', actor_type: 'agent', role_id: 'ORCHESTRATOR' } as const
const operator = { actor_id: 'ann', actor_type: 'human' } as const

const scopes = suite('only agents with deliverable-local write scope touch a deliverable’s lock (REQ-LOCK-008)')

scopes(
  'recover and retire are refused without that scope, and nothing changes; a dry run is allowed',
  scene(
    async ({ acquire, clock, ledger, path, visible }) => {
      await acquire()
      clock.advance(10 * minute)
      const before = visible()
      const types = await typesAppended(ledger, async () => {
        for (const asked of [
          ledger.locks.recover({ name, reason: 'x', actor: orchestrator }),
          ledger.locks.retire({ folder: path, actor: orchestrator }),
          ledger.locks.acquire({ folder: path, holder: 'o', pids: [process.pid], actor: orchestrator }),
        ]) {
          const { code, details } = await refusalOf(asked)
          equal([code, details.write_scope], ['WRITE_SCOPE_DENIED', 'tool-root-only'])
        }
        const shown = await ledger.locks.recover({ name, reason: 'x', actor: orchestrator, dry_run: true })
        is(shown.recovery_reason, 'lease_expired')
      })
      equal(types, [])
      equal(visible(), before)
      is((await ledger.locks.recover({ name, reason: 'x' })).recovery_reason, 'lease_expired')
    },
    { config },
  ),
)

scopes(
  'a resource needs none, and an operator, who may break a lock, may recover it',
  scene(
    async ({ acquire, clock, ledger }) => {
      await hold(ledger, { name: 'reports', holder: 'agent-1', lease_duration_s: 60 })
      await acquire()
      clock.advance(10 * minute)
      const recover = (name: string, actor: typeof operator | typeof orchestrator) =>
        ledger.locks.recover({ name, reason: 'x', actor })
      is((await recover('reports', orchestrator)).recovery_reason, 'lease_expired')
      is((await recover(name, operator)).recovery_reason, 'lease_expired')
    },
    { config },
  ),
)

scopes(
  'the service recovers what has expired for the ledger, whatever the scope of its actor',
  scene(
    async ({ acquire, clock, ledger }) => {
      await acquire({ actor: { actor_id: 'agent-2', actor_type: 'agent' } })
      clock.advance(10 * minute)
      is((await refusalOf(ledger.locks.recover({ name, reason: 'x' }))).code, 'WRITE_SCOPE_DENIED')
      await ledger.expiringLocks.expire(name)
      is((await ledger.locks.status({ name })).state, 'free')
    },
    { config: { write_scopes: { 'agent-2': 'deliverable-local' } } },
  ),
)

scopes.run()

const placement = suite('a deliverable folder is not one of the ledger’s own (REQ-LOCK-001)')

for (const folder of ['.lockstep/DEL-08-06_Own', '.lockstep/claims/DEL-08-06_Own', 'sub/.LOCKSTEP/DEL-08-06_Own']) {
  placement(
    `${folder} is refused`,
    scene(async ({ acquire, ledger, root }) => {
      const path = join(root, folder)
      mkdirSync(path, { recursive: true })
      is((await refusalOf(acquire({ folder: path }))).code, 'LOCK_PLACEMENT')
      is((await refusalOf(ledger.locks.retire({ folder: path }))).code, 'LOCK_PLACEMENT')
      not(existsSync(join(path, '.lock')))
    }),
  )
}

placement.run()

const waiting = suite('what no waiting changes')

waiting(
  'a file of an unknown major version is contention that is not retryable, and is not waited for',
  scene(async ({ acquire, lock }) => {
    writeFileSync(lock, foreignText({ ...deadHolder(), schema_version: '2.0' }))
    const started = performance.now()
    const error = await refusalOf(acquire({ wait_s: 3_600 }))
    equal([error.code, error.retryable, error.toJSON().retryable], ['LOCK_CONTENTION', false, false])
    not('retry_after_s' in error.details)
    ok(performance.now() - started < 60_000)
    writeFileSync(lock, foreignText())
    is((await refusalOf(acquire())).retryable, true)
  }),
)

waiting(
  'a wait of more than a day is refused before anything is asked',
  scene(async ({ acquire, ledger }) => {
    await acquire()
    equal(
      await typesAppended(ledger, async () => {
        is((await refusalOf(() => acquire({ wait_s: 86_401 }))).code, 'INVALID_INPUT')
      }),
      [],
    )
  }),
)

waiting.run()

const names = suite('names that Unicode holds for the same text')
const composed = 'r\u00e9sum\u00e9'
const decomposed = composed.normalize('NFD')

names(
  'are one lock',
  scene(async ({ ledger }) => {
    not(composed === decomposed)
    const held = await hold(ledger, { name: decomposed, holder: 'agent-1' })
    is(held.name, `resource:${composed}`)
    is((await refusalOf(hold(ledger, { name: composed, holder: 'agent-2' }))).code, 'LOCK_CONTENTION')
    for (const name of [composed, decomposed, `resource:${decomposed}`]) {
      is((await ledger.locks.status({ name })).token, held.token)
    }
    const guard = { name: decomposed, token: held.token }
    await ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success' }], guard })
    const { grants } = await ledger.locks.acquireAll({ names: ['\u0041\u030a', '\u00c5', '\u212b'], holder: 'x' })
    equal(
      grants.map(({ name }) => name),
      ['resource:\u00c5'],
    )
  }),
)

names.run()
