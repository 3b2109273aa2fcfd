import { setImmediate as nextTurn } from 'node:timers/promises'
import { equal, is, ok } from 'uvu/assert'
import { newLockId, newName, refused, type Stage, type Work } from '../stage.ts'

const holder = 'agent-1'

/** Paths of a folder of its own, held. */
async function paths({ api }: Stage, more: object = {}) {
  const folder = newName('folder')
  const grant = await api.locks.acquire({ paths: [`${folder}/`], holder, lease_duration_s: 600, ...more })
  return { folder, grant, inside: { holder: 'other', paths: [`${folder}/a.ts`] } }
}

/** How paths are acquired. */
export const acquirePaths: { readonly [title: string]: Work } = {
  'grants files and subtrees as one grant, and the same lock_id again gives the same grant': async (stage) => {
    const folder = newName('folder')
    const input = {
      holder,
      lock_id: newLockId(),
      paths: [`./${folder}//b.ts`, `${folder}/a/../a/`, `${folder}/a/x`],
    }
    const grant = await stage.api.locks.acquire(input)
    equal(grant.paths, [`${folder}/a/`, `${folder}/b.ts`])
    is(grant.name, `path:${folder}/a/`)
    equal(await stage.api.locks.acquire(input), { ...grant, replayed: true })
    await refused(stage.api.locks.acquire({ ...input, shared: true }), 'IDEMPOTENCY_MISMATCH')
    await stage.api.locks.release({ lock_id: input.lock_id })
    is((await stage.api.locks.acquire(input)).current, false)
    is((await stage.api.locks.acquire({ holder, paths: input.paths })).replayed, false)
  },
  'grants no path that is held, above or below, and names what is in the way, by whom and why': async (stage) => {
    const { folder, grant, inside } = await paths(stage, { reason: 'move to the new API' })
    const { details, message } = await refused(stage.api.locks.acquire(inside), 'LOCK_CONTENTION')
    is(message, `path:${folder}/ is held by agent-1, with 600 s left on the lease, for: move to the new API`)
    const { held_name, held_since, lock_ref, name, reason, token } = details
    const { acquired } = grant
    const report = { held_name, held_since, lock_ref, name, reason, token }
    equal(report, {
      held_name: `path:${folder}/`,
      held_since: acquired,
      lock_ref: grant.lock_ref,
      name: `path:${folder}/a.ts`,
      reason: 'move to the new API',
      token: grant.token,
    })
    await stage.api.locks.release({ lock_id: grant.lock_id })
    await stage.api.locks.acquire(inside)
    const above = await refused(stage.api.locks.acquire({ holder, paths: [`${folder}/`] }), 'LOCK_CONTENTION')
    is(above.details.held_name, `path:${folder}/a.ts`)
  },
  'shares paths among readers, and a writer that waits goes before later readers': async (stage) => {
    const { folder, grant, inside } = await paths(stage, { shared: true })
    const second = await stage.api.locks.acquire({ ...inside, shared: true })
    await refused(stage.api.locks.acquire(inside), 'LOCK_CONTENTION')
    const writer = stage.api.locks.acquire({ ...inside, holder: 'writer', wait_s: 60 })
    while ((await stage.api.locks.status({ name: `path:${folder}/a.ts` })).waiting === 0) await nextTurn()
    await refused(stage.api.locks.acquire({ ...inside, shared: true }), 'LOCK_CONTENTION')
    await stage.api.locks.acquire({ holder, paths: [`${folder}/b.ts`], shared: true })
    await stage.api.locks.release({ lock_id: grant.lock_id })
    await stage.api.locks.release({ lock_id: second.lock_id })
    is((await writer).holder, 'writer')
  },
  'recovers the orphans in the way of paths, all of them in one append': async (stage) => {
    const folder = newName('folder')
    for (const file of ['a', 'b', 'c']) {
      await stage.api.locks.acquire({ holder, lease_duration_s: 1, paths: [`${folder}/${file}`] })
    }
    stage.clock.advance(1_000)
    const { token } = await stage.api.locks.acquire({ holder, paths: [`${folder}/`] })
    const { entries } = await stage.api.locks.history({ name: `path:${folder}/b` })
    equal(
      entries.map(({ type }) => type),
      ['lock.recovered', 'lock.acquired'],
    )
    ok((entries[0]?.seq ?? token) < token)
  },
  'refuses patterns and paths outside of the root': async ({ api }) => {
    const pattern = await refused(api.locks.acquire({ holder, paths: ['src/**/*.js'] }), 'INVALID_INPUT')
    is(pattern.hint, 'Lock the subtree src/ instead.')
    await refused(api.locks.acquire({ holder, paths: ['../other'] }), 'LOCK_PLACEMENT')
    await refused(api.locks.acquire({ holder, paths: ['.lockstep/key'] }), 'LOCK_PLACEMENT')
    await refused(api.locks.acquire({ holder, paths: ['a'.repeat(300)] }), 'INVALID_INPUT')
  },
}

/** How locks are listed by paths. */
export const listPaths: { readonly [title: string]: Work } = {
  'lists the locks in the way of paths, and no others': async (stage) => {
    const { folder, grant } = await paths(stage)
    const { folder: other } = await paths(stage, { shared: true })
    const list = async (...texts: string[]) =>
      (await stage.api.locks.list({ paths: texts })).locks.map(({ lock_ref, name }) => [name, lock_ref])
    equal(await list(`${folder}/a.ts`, 'elsewhere'), [[`path:${folder}/`, grant.lock_ref]])
    equal((await list(`${folder}/`, `${other}/b/`)).length, 2)
    equal((await stage.api.locks.list({ orphans: true, paths: [`${folder}/`] })).locks, [])
    await refused(stage.api.locks.list({ paths: ['../elsewhere'] }), 'LOCK_PLACEMENT')
  },
}
