import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { equal, is, ok } from 'uvu/assert'
import { foreignText, makeDeliverable } from '../../support/deliverable.ts'
import { becca, type Cases, newLockId, newName, refused, type Stage, stranger } from '../stage.ts'
import { acquirePaths, listPaths } from './lock-paths.ts'

const holder = 'agent-1'
const noPid = 2 ** 31 - 1

const resource = ({ api }: Stage, more: object = {}) =>
  api.locks.acquire({ name: newName('resource'), holder, lease_duration_s: 600, ...more })

/** A deliverable folder of its own, its lock held. */
async function deliverable({ api, root }: Stage, more: object = {}) {
  const id = newName('DEL-01').replace('_', '-')
  const folder = `${id.slice(0, 7)}${id.slice(7).padStart(2, '0')}_Work`
  const { lock, path } = makeDeliverable(root, folder)
  const grant = await api.locks.acquire({ folder, holder, pids: [process.pid], lease_duration_s: 600, ...more })
  return { folder, grant, lock, path }
}

/** A project of its own, locked by its run. */
function project(stage: Stage, more: object = {}) {
  const slug = newName('slug').replace('_', '-')
  const target_name = `IAMBECCA | ACME | GOVERNANCE | ${slug} | NEO`
  const run_id = `run_ACME_${slug}_2026-02-02_001`
  const acquire = (input: object = {}) => stage.api.locks.acquire({ target_name, run_id, ...more, ...input })
  const release = (input: object = {}) =>
    stage.api.locks.release({ run_id, final_status: 'COMPLETE', actor: becca, ...input })
  return { acquire, release, run_id, target_name, file: join(stage.root, 'runtime/runs', run_id, 'RUN_LOCK.json') }
}

/** The file that a tool without the ledger would write. */
function foreignFile(stage: Stage, facts: object = {}) {
  const { file, run_id, target_name } = project(stage)
  const content = {
    status: 'LOCKED',
    target_name,
    run_id,
    lock_owner: run_id,
    lock_time: '2026-01-01T12:00:00Z',
    lock_reason: 'by hand',
    release_conditions: ['state == COMPLETE', 'manual override by BECCA'],
    ...facts,
  }
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, JSON.stringify(content))
  return { content, file, run_id, target_name }
}

const released = { status: 'RELEASED', released_at: '2026-02-02T14:30:00Z', released_by: 'BECCA (VERIFICATION)' }

export const locks: Cases<'locks'> = {
  of: {
    acquire: {
      ...acquirePaths,
      'grants a resource, and the same lock_id again gives the same grant': async (stage) => {
        const input = { name: newName('same'), holder, lock_id: newLockId(), actor: undefined }
        const grant = await stage.api.locks.acquire(input)
        equal(await stage.api.locks.acquire(input), { ...grant, replayed: true })
        await refused(stage.api.locks.acquire({ ...input, holder: 'other' }), 'IDEMPOTENCY_MISMATCH')
        await stage.api.locks.release({ lock_id: input.lock_id })
        is((await stage.api.locks.acquire(input)).current, false)
      },
      'has no evidence where no process is named': async (stage) => {
        const { name } = await resource(stage)
        equal((await stage.api.locks.status({ name })).pids, [])
        await refused(resource(stage, { pids: [noPid] }), 'PID_NOT_FOUND')
      },
      'answers contention, and TIMED_OUT or ABORTED to a caller that waits': async (stage) => {
        const { name } = await resource(stage)
        const { details } = await refused(resource(stage, { name, actor: stranger }), 'LOCK_CONTENTION')
        is(details.holder, holder)
        await refused(resource(stage, { name, actor: stranger, wait_s: 1 }), 'TIMED_OUT')
        const stop = new AbortController()
        const input = { name, holder: 'agent-9', actor: stranger, wait_s: 600 }
        const waiting = stage.api.locks.acquire(input, { signal: stop.signal })
        for (let tries = 0; (await stage.api.locks.status({ name })).waiting === 0; tries += 1) {
          ok(tries < 10_000)
          await new Promise(setImmediate)
        }
        const first_waiting = { actor_id: 'agent-9', holder: 'agent-9' }
        const { authn: _, ...first } = (await stage.api.locks.status({ name })).first_waiting ?? {}
        equal(first, first_waiting)
        stop.abort()
        await refused(waiting, 'ABORTED')
      },
      'grants a deliverable by a folder relative to the root, whatever the working directory is': async (stage) => {
        const { folder, grant, path } = await deliverable(stage)
        is(grant.folder, folder)
        const { api } = stage
        await refused(api.locks.acquire({ folder: path, holder: 'x', pids: [process.pid] }), 'LOCK_CONTENTION')
        await refused(api.locks.acquire({ folder: 'nowhere', holder, pids: [process.pid] }), 'NOT_FOUND')
        await refused(api.locks.acquire({ folder: '/', holder, pids: [process.pid] }), 'LOCK_PLACEMENT')
      },
      'refuses a deliverable to an actor whose write scope does not allow it': (stage) =>
        stage.apart({ write_scopes: { other: 'deliverable-local' } }, async (apart) => {
          await refused(deliverable(apart), 'WRITE_SCOPE_DENIED')
        }),
      'tells a holder whose lock file was replaced that the lease is lost': async (stage) => {
        const lock_id = newLockId()
        const { folder, lock } = await deliverable(stage, { lock_id })
        rmSync(lock)
        writeFileSync(lock, '{"holder":"another"}')
        const again = { folder, holder, pids: [process.pid], lease_duration_s: 600, lock_id }
        await refused(stage.api.locks.acquire(again), 'LOCK_CONTENTION')
      },
      'grants a project to a run once': async (stage) => {
        const { acquire, release, run_id, target_name } = project(stage)
        const grant = await acquire()
        is(grant.run_id, run_id)
        equal(await acquire(), { ...grant, replayed: true })
        const entry = await stage.api.log.entry({ seq: grant.token })
        equal(entry.data.release_conditions, ['state == COMPLETE', 'manual override by BECCA'])
        await refused(acquire({ lock_owner: 'another' }), 'LOCK_OWNER_MISMATCH')
        await refused(acquire({ run_id: 'not a run' }), 'INVALID_INPUT')
        const other = target_name.replace('GOVERNANCE', 'DELIVERY')
        await refused(acquire({ target_name: other }), 'IDEMPOTENCY_MISMATCH')
        await release()
        await refused(acquire(), 'RUN_LOCK_RELEASED')
      },
      'demands one of three forms, and no member of another': async ({ api }) => {
        await refused(api.locks.acquire({ holder } as never), 'INVALID_INPUT')
        await refused(api.locks.acquire({ name: 'x', folder: 'y', holder } as never), 'INVALID_INPUT')
        await refused(api.locks.acquire({ folder: 'x', holder } as never), 'INVALID_INPUT')
        await refused(api.locks.acquire({ name: 'x', holder, signal: null } as never), 'INVALID_INPUT')
      },
    },
    acquireAll: {
      'grants all names or none, and again the same grants': async ({ api }) => {
        const names = [newName('b'), newName('a')]
        const input = { names, holder, lock_ids: [newLockId(), newLockId()] }
        const { grants } = await api.locks.acquireAll(input)
        equal(
          grants.map(({ name }) => name),
          names.map((name) => `resource:${name}`).sort(),
        )
        ok((await api.locks.acquireAll(input)).grants.every(({ replayed }) => replayed))
        await refused(api.locks.acquireAll({ ...input, holder: 'x' }), 'IDEMPOTENCY_MISMATCH')
        const [first = ''] = names
        const free = newName('free')
        await refused(api.locks.acquireAll({ names: [free, first], holder, actor: stranger }), 'LOCK_CONTENTION')
        await refused(api.locks.status({ name: free }), 'NOT_FOUND')
        await refused(api.locks.acquireAll({ names: [free], holder, pids: [noPid] }), 'PID_NOT_FOUND')
      },
      'does not grant again what has ended under the same lock_id': async ({ api }) => {
        const names = [newName('a'), newName('b')].sort()
        const lock_ids = [newLockId(), newLockId()]
        const { grants } = await api.locks.acquireAll({ names, holder, lock_ids })
        for (const { lock_id } of grants) await api.locks.release({ lock_id })
        equal(
          (await api.locks.acquireAll({ names, holder, lock_ids })).grants.map(({ current }) => current),
          [false, false],
        )
        const [, name = ''] = names
        const [, lock_id = ''] = lock_ids
        await refused(api.locks.acquire({ name, holder, lock_id }), 'LOCK_ENDED')
        const input = { names: [newName('0'), name], holder, lock_ids: [newLockId(), lock_id] }
        await refused(api.locks.acquireAll(input), 'LOCK_ENDED')
      },
    },
    renew: {
      'starts the lease anew, each time, until it is over or ended': async (stage) => {
        const { lock_id, token } = await resource(stage)
        const { locks } = stage.api
        is((await locks.renew({ lock_id })).renewals, 1)
        equal([(await locks.renew({ lock_id })).renewals, (await locks.renew({ lock_id })).token], [2, token])
        await refused(locks.renew({ lock_id: newLockId() }), 'LOCK_NOT_HELD')
        stage.clock.advance(601_000)
        await refused(locks.renew({ lock_id }), 'LEASE_EXPIRED')
        await locks.release({ lock_id })
        await refused(locks.renew({ lock_id }), 'STALE_TOKEN')
      },
      'fails for a deliverable whose lock file another tool replaced, and puts back one that is gone': async (
        stage,
      ) => {
        const { grant, lock } = await deliverable(stage)
        const text = readFileSync(lock, 'utf8')
        rmSync(lock)
        is((await stage.api.locks.renew({ lock_id: grant.lock_id })).renewals, 1)
        is(JSON.parse(readFileSync(lock, 'utf8')).lock_ref, JSON.parse(text).lock_ref)
        writeFileSync(lock, '{"holder":"another"}')
        await refused(stage.api.locks.renew({ lock_id: grant.lock_id }), 'LEASE_LOST')
      },
    },
    release: {
      'ends a grant, and again gives the first answer': async (stage) => {
        const { lock_id, name } = await resource(stage)
        const { locks } = stage.api
        const answer = await locks.release({ lock_id, outcome: 'failure' })
        equal([answer.outcome, answer.late], ['failure', false])
        equal(await locks.release({ lock_id }), { ...answer, replayed: true })
        is((await locks.status({ name })).state, 'free')
        await refused(locks.release({ lock_id: newLockId() }), 'LOCK_NOT_HELD')
        const { grant, lock } = await deliverable(stage)
        writeFileSync(lock, '{"holder":"another"}')
        await refused(locks.release({ lock_id: grant.lock_id }), 'LEASE_LOST')
      },
      'ends the lock of a project, for the release authority alone': async (stage) => {
        const { acquire, file, release } = project(stage)
        await refused(release(), 'LOCK_NOT_HELD')
        await acquire()
        await refused(release({ actor: stranger }), 'RELEASE_DENIED')
        await refused(release({ final_status: 'FAILED' }), 'RELEASE_CONDITION_UNMET')
        const answer = await release()
        equal(await release(), { ...answer, replayed: true })
        const other = { final_status: 'HALTED', override: true, reason: 'looked again' }
        await refused(release(other), 'IDEMPOTENCY_MISMATCH')
        is(JSON.parse(readFileSync(file, 'utf8')).status, 'RELEASED')
      },
    },
    recover: {
      'ends an orphan once, and shows it before with dry_run': async (stage) => {
        const { name, token } = await resource(stage)
        const recover = (more = {}) => stage.api.locks.recover({ name, reason: 'holder is gone', ...more })
        await refused(recover(), 'LOCK_NOT_ORPHAN')
        await refused(recover({ name: newName('never'), dry_run: true }), 'NOT_FOUND')
        stage.clock.advance(601_000)
        is((await recover({ dry_run: true })).status?.state, 'orphan')
        equal([(await recover()).previous_token, (await stage.api.locks.status({ name })).state], [token, 'free'])
        await refused(recover(), 'LOCK_NOT_ORPHAN')
        const { grant } = await deliverable(stage)
        await refused(recover({ name: grant.name, folder: '.' }), 'LOCK_PLACEMENT')
      },
      'is for actors that may write in the folder': (stage) =>
        stage.apart({ write_scopes: { other: 'deliverable-local' } }, async (apart) => {
          const { folder } = await deliverable(apart, { actor: { actor_id: 'other', actor_type: 'agent' } })
          const { api } = apart
          const { name } = await api.locks.status({ folder })
          await refused(api.locks.recover({ name, reason: 'x' }), 'WRITE_SCOPE_DENIED')
          await refused(api.locks.retire({ folder }), 'WRITE_SCOPE_DENIED')
          await refused(api.locks.recover({ name, reason: 'x', actor: becca }), 'LOCK_NOT_ORPHAN')
        }),
    },
    break: {
      'ends a valid grant, for operators': async (stage) => {
        const { name, token } = await resource(stage)
        const input = { name, reason: 'it blocks us' }
        await refused(stage.api.locks.break(input), 'RELEASE_DENIED')
        is((await stage.api.locks.break({ ...input, actor: becca })).previous_token, token)
        await refused(stage.api.locks.break({ ...input, actor: becca }), 'LOCK_NOT_HELD')
      },
      'moves the lock file of another tool aside, and keeps it': async (stage) => {
        const { folder, grant, lock } = await deliverable(stage)
        const { locks } = stage.api
        await locks.release({ lock_id: grant.lock_id })
        writeFileSync(lock, foreignText({ acquired: '2099-01-01T00:00:00Z', deliverable_id: grant.deliverable_id }))
        is((await locks.status({ folder })).holder, 'foreign-tool')
        ok((await locks.list({ under: folder })).locks.some(({ holder }) => holder === 'foreign-tool'))
        const input = { folder, reason: 'the tool hangs' }
        await refused(locks.break(input), 'RELEASE_DENIED')
        const { aside = '', digest } = await locks.break({ ...input, actor: becca })
        ok(aside.endsWith(String(digest)) && readFileSync(join(stage.root, aside), 'utf8').includes('2099'))
        is((await locks.status({ folder })).state, 'free')
        const renamed = await deliverable(stage)
        renameSync(renamed.path, join(stage.root, 'DEL-99-99_Renamed'))
        const held = { folder: 'DEL-99-99_Renamed', reason: 'x', actor: becca }
        await refused(locks.break(held), 'LOCK_IS_HELD')
        rmSync(join(stage.root, held.folder), { recursive: true })
        await refused(locks.break({ folder: '..', reason: 'x', actor: becca }), 'LOCK_PLACEMENT')
        await refused(locks.break({ folder: 'nowhere', reason: 'x', actor: becca }), 'NOT_FOUND')
      },
    },
    retire: {
      'ends the lock of a folder that is free': async (stage) => {
        const { folder, grant } = await deliverable(stage)
        const { locks } = stage.api
        await refused(locks.retire({ folder }), 'LOCK_IS_HELD')
        await locks.release({ lock_id: grant.lock_id })
        equal(await locks.retire({ folder }), { folder, name: grant.name, recovered: false })
        equal(await locks.retire({ folder }), { folder, name: grant.name, recovered: false })
        await refused(locks.retire({ folder: '..' }), 'LOCK_PLACEMENT')
        await refused(locks.retire({ folder: 'nowhere' }), 'NOT_FOUND')
      },
      'does not end the lock of a folder that the name is no longer bound to': async (stage) => {
        const { folder, path } = await deliverable(stage)
        const other = join(stage.root, 'moved', folder)
        mkdirSync(other, { recursive: true })
        ok(path !== other)
        await refused(stage.api.locks.retire({ folder: other }), 'LOCK_PLACEMENT')
      },
    },
    status: {
      'tells free from held': async (stage) => {
        const { lock_id, name, token } = await resource(stage)
        const held = await stage.api.locks.status({ name })
        equal([held.state, held.token, held.holder], ['held', token, holder])
        await stage.api.locks.release({ lock_id })
        is((await stage.api.locks.status({ name })).state, 'free')
        await refused(stage.api.locks.status({ name: newName('never') }), 'NOT_FOUND')
        await refused(stage.api.locks.status({ folder: '..' }), 'LOCK_PLACEMENT')
        const { folder, grant } = await deliverable(stage)
        equal(await stage.api.locks.status({ folder }), await stage.api.locks.status({ name: grant.name }))
      },
    },
    list: {
      ...listPaths,
      'gives held locks, orphans alone, or those below a folder': async (stage) => {
        const { folder, grant } = await deliverable(stage)
        const { list } = stage.api.locks
        ok((await list()).locks.some(({ name }) => name === grant.name))
        equal(
          (await list({ under: folder })).locks.map(({ name }) => name),
          [grant.name],
        )
        equal((await list({ under: join(stage.root, folder), orphans: true })).locks, [])
        await refused(list({ under: '..' }), 'INVALID_INPUT')
        await refused(list({ under: 'nosuch' }), 'NOT_FOUND')
      },
    },
    history: {
      'gives the entries of a lock, newest first': async (stage) => {
        const { lock_id, name } = await resource(stage)
        await stage.api.locks.release({ lock_id })
        const { entries } = await stage.api.locks.history({ name, limit: undefined })
        equal(
          entries.map(({ type }) => type),
          ['lock.released', 'lock.acquired'],
        )
        is((await stage.api.locks.history({ name, limit: 1 })).entries.length, 1)
        await refused(stage.api.locks.history({ name: newName('never') }), 'NOT_FOUND')
      },
    },
    check: {
      'answers if the run holds the lock of its target': async (stage) => {
        const { acquire, run_id, target_name } = project(stage)
        await refused(stage.api.locks.check({ run_id, target_name }), 'LOCK_CHECK_FAILED')
        const { token } = await acquire()
        equal(await stage.api.locks.check({ run_id, target_name }), { run_id, target_name, token })
      },
    },
    importFile: {
      'takes over a file, and again changes nothing': async (stage) => {
        const { importFile } = stage.api.locks
        const { file } = foreignFile(stage)
        const answer = await importFile({ file })
        equal([answer.type, answer.replayed], ['lock.acquired', false])
        equal(await importFile({ file }), { ...answer, replayed: true })
        await refused(importFile({ file: join(dirname(dirname(file)), 'none', 'RUN_LOCK.json') }), 'NOT_FOUND')
        await refused(importFile({ file: foreignFile(stage, { lock_owner: 'another' }).file }), 'LOCK_OWNER_MISMATCH')
      },
      'sets a file aside, for the release authority alone': async (stage) => {
        const { importFile } = stage.api.locks
        const { file } = foreignFile(stage)
        await refused(importFile({ file, set_aside: true, reason: 'stale' }), 'RELEASE_DENIED')
        await importFile({ file, set_aside: true, reason: 'stale', actor: becca })
        const { acquire, file: own } = project(stage)
        await acquire()
        await refused(importFile({ file: own, set_aside: true, reason: 'x', actor: becca }), 'LOCK_IS_HELD')
      },
      'releases by a file that says RELEASED': async (stage) => {
        const { importFile } = stage.api.locks
        const { acquire, file, release } = project(stage)
        await acquire()
        const content = { ...JSON.parse(readFileSync(file, 'utf8')), ...released, final_status: 'COMPLETE' }
        writeFileSync(file, JSON.stringify(content))
        await refused(importFile({ file }), 'RELEASE_DENIED')
        is((await importFile({ file, actor: becca })).type, 'lock.released')
        await release()
        writeFileSync(file, JSON.stringify({ ...content, status: 'LOCKED' }))
        const { released_at: _, released_by: __, final_status: ___, ...locked } = content
        writeFileSync(file, JSON.stringify({ ...locked, status: 'LOCKED' }))
        await refused(importFile({ file }), 'RUN_LOCK_RELEASED')
        const unknown = foreignFile(stage, { ...released, final_status: 'COMPLETE' })
        await refused(importFile({ file: unknown.file, actor: becca }), 'LOCK_NOT_HELD')
        const other = project(stage)
        await other.acquire({ release_conditions: ['manual override by BECCA'] })
        const text = { ...JSON.parse(readFileSync(other.file, 'utf8')), ...released, final_status: 'COMPLETE' }
        writeFileSync(other.file, JSON.stringify(text))
        await refused(importFile({ file: other.file, actor: becca }), 'RELEASE_CONDITION_UNMET')
      },
      'does not take over a project that another run has locked': async (stage) => {
        const { acquire, target_name } = project(stage)
        await acquire()
        const { file } = foreignFile(stage, { target_name })
        await refused(stage.api.locks.importFile({ file }), 'LOCK_CONTENTION')
        rmSync(file)
      },
    },
    unknownFiles: {
      'gives the files that the ledger does not know': async (stage) => {
        const { file } = foreignFile(stage)
        ok((await stage.api.locks.unknownFiles()).files.includes(file))
        await stage.api.locks.importFile({ file })
        ok(!(await stage.api.locks.unknownFiles()).files.includes(file))
      },
    },
  },
}
