import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { equal, is } from 'uvu/assert'
import { all, type Cases, newName, refused, type Stage } from '../stage.ts'

const nowhere = { run_id: 'run_nowhere' }
const links = { cites: [{ type: 'note', id: 'one', relationship: 'cites' }] }

/** A workspace of its own, with two stems of which the second points to the first. */
async function workspace({ api }: Stage) {
  const of = { run_id: newName('run_space') }
  await api.runs.create({ ...of, run_kind: 'orchestrator' })
  await api.runs.start(of)
  const triplets = [
    { stem: 'one', body: { dto_type: 'note', id: 'one' } },
    { stem: 'two', body: { dto_type: 'note', id: 'two' }, links },
  ]
  await api.turns.apply({ ...of, turn_id: 'turn-0001', triplets })
  return of
}

export const workspaces: Cases<'workspaces'> = {
  begin: async ({ api }) => {
    await api.policy.reload()
  },
  of: {
    triplets: {
      'gives every stem, in order': async (stage) => {
        const stems = await all(stage.api.workspaces.triplets(await workspace(stage)))
        equal(
          stems.map(({ stem }) => stem),
          ['one', 'two'],
        )
        equal(await all(stage.api.workspaces.triplets({ workflow_id: 'none' })), [])
        await refused(all(stage.api.workspaces.triplets(nowhere)), 'NOT_FOUND')
        await refused(all(stage.api.workspaces.triplets({ workflow_id: '../up' })), 'INVALID_INPUT')
      },
      'is never cut short without an error': async (stage) => {
        const of = await workspace(stage)
        const stop = new AbortController()
        stop.abort()
        await refused(all(stage.api.workspaces.triplets(of, { signal: stop.signal })), 'ABORTED')
        await refused(all(stage.api.workspaces.refs(of, { signal: stop.signal })), 'ABORTED')
      },
    },
    refs: {
      'gives the links to each target': async (stage) => {
        const refs = await all(stage.api.workspaces.refs(await workspace(stage)))
        equal(
          refs.map(({ id, sources }) => [id, sources.map(({ stem }) => stem)]),
          [['one', ['two']]],
        )
        await refused(all(stage.api.workspaces.refs(nowhere)), 'NOT_FOUND')
      },
    },
    object: {
      'gives an object by its digest': async (stage) => {
        const [triplet] = await all(stage.api.workspaces.triplets(await workspace(stage)))
        const { value } = await stage.api.workspaces.object({ digest: triplet?.body_digest ?? '' })
        equal(value, { dto_type: 'note', id: 'one' })
        await refused(stage.api.workspaces.object({ digest: 'ab'.repeat(32) }), 'NOT_FOUND')
      },
    },
    digest: {
      'is the same for the same state, now and at a size': async (stage) => {
        const of = await workspace(stage)
        const { digest } = stage.api.workspaces
        const now = await digest(of)
        is((await digest({ ...of, at: now.size })).state_digest, now.state_digest)
        await refused(digest({ ...of, at: now.size + 1 }), 'INVALID_INPUT')
        await refused(digest(nowhere), 'NOT_FOUND')
      },
    },
    stem: {
      'gives a stem and who points to it': async (stage) => {
        const of = await workspace(stage)
        const { body, referenced_by } = await stage.api.workspaces.stem({ ...of, stem: 'one' })
        equal([body.id, referenced_by.map(({ stem }) => stem)], ['one', ['two']])
        await refused(stage.api.workspaces.stem({ ...of, stem: 'three' }), 'NOT_FOUND')
        await refused(stage.api.workspaces.stem({ ...nowhere, stem: 'one' }), 'NOT_FOUND')
      },
    },
    files: {
      'answers once the files are written': async (stage) => {
        await workspace(stage)
        equal(await stage.api.workspaces.files(), { files: 'current' })
      },
    },
    check: {
      'finds a file that somebody edited, and writes it anew if asked to': async (stage) => {
        const of = await workspace(stage)
        const { check } = stage.api.workspaces
        const { files, folder } = await check(of)
        const edited = join(folder, 'current', 'one.body.json')
        chmodSync(edited, 0o644)
        writeFileSync(edited, '{}')
        await refused(check(of), 'VERIFY_FAILED')
        is((await check({ ...of, rebuild: true })).files, files)
        equal(await check({ ...of, rebuild: true }), await check(of))
        await refused(check(nowhere), 'NOT_FOUND')
      },
    },
  },
}
