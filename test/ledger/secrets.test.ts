import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { contentOf, makeDeliverable } from '../support/deliverable.ts'
import { entriesOf } from '../support/entries.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { refusal } from './stage.ts'

const secrets = suite('the holder’s secret')
const other = { actor_id: 'agent-2', actor_type: 'agent' } as const
const refOf = (lock_id: string) => createHash('sha256').update(lock_id).digest('hex').slice(0, 16)

secrets('a lock_id is in no entry, file, report or refusal; they hold its lock_ref', async () => {
  const root = temporaryRoot()
  const { path, lock } = makeDeliverable(root)
  const ledger = await openLedger({ dir: root, actor: testActor, create: true, policy: false, self_check: true })
  const ids = { resource: 'lck_resource00000000', deliverable: 'lck_deliverable00000', guessed: 'lck_guessed000000000' }
  const shown: unknown[] = []
  const requests = [
    { name: 'a', holder: 'TASK', lock_id: ids.resource },
    { folder: path, holder: 'TASK', lock_id: ids.deliverable },
  ]
  for (const request of requests) {
    const lease = await ledger.locks.acquire(request)
    is(lease.lock_ref, refOf(request.lock_id))
    await lease.renew()
    shown.push(await refusal(ledger.locks.acquire({ ...request, lock_id: ids.guessed }), 'LOCK_CONTENTION'))
    shown.push(await refusal(ledger.locks.release({ lock_id: request.lock_id, actor: other }), 'LOCK_NOT_HELD'))
    shown.push(await refusal(ledger.locks.renew({ lock_id: request.lock_id, actor: other }), 'LOCK_NOT_HELD'))
    shown.push(await ledger.locks.status(lease.name), await ledger.locks.history(lease.name))
    shown.push(await ledger.locks.recover({ name: lease.name, reason: 'x', dry_run: true }))
  }
  shown.push(await refusal(ledger.locks.release({ lock_id: ids.guessed }), 'LOCK_NOT_HELD'))
  shown.push(readFileSync(lock, 'utf8'), await ledger.locks.list(), await entriesOf(ledger), await ledger.prove(1))
  for (const lock_id of [ids.resource, ids.deliverable]) await ledger.locks.release({ lock_id })
  shown.push(await entriesOf(ledger))
  await ledger.close()

  const text = [...shown.map((each) => JSON.stringify(each)), ...bytesBelow(root)].join('\n')
  for (const lock_id of Object.values(ids)) ok(!text.includes(lock_id), lock_id)
  for (const lock_id of Object.values(ids)) ok(text.includes(refOf(lock_id)), `lock_ref of ${lock_id}`)
  await endsWithVerify(root)
})

/** Every file below a closed root, the database's too, byte for byte. */
function bytesBelow(root: string): string[] {
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' }).map((name) => join(root, name))
  return paths.filter((path) => statSync(path).isFile()).map((path) => readFileSync(path, 'latin1'))
}

secrets('a resource has no file: nothing below the root changes but the ledger', async () => {
  const root = temporaryRoot()
  makeDeliverable(root)
  const ledger = await openLedger({ dir: root, actor: testActor, create: true, policy: false })
  const before = visible(root)
  const lease = await ledger.locks.acquire({ name: 'a', holder: 'h' })
  is(lease.name, 'resource:a')
  equal(visible(root), before)
  await lease.release('failure')
  await ledger.close()
  equal(visible(root), before)
  await endsWithVerify(root)
})

const visible = (root: string) =>
  Object.fromEntries(Object.entries(contentOf(root)).filter(([name]) => !name.startsWith('.lockstep')))

secrets.run()
