import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { equal, is } from 'uvu/assert'
import { all, type Cases, newName, refused, type Stage, stranger } from '../stage.ts'

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
    pin: {
      'keeps the tree of a turn, which later promotions never change': async (stage) => {
        const of = await workspace(stage)
        const { check, digest, files, pin, pins } = stage.api.workspaces
        const before = await digest(of)
        const pinned = await pin({ ...of, name: 'release-1' })
        equal([pinned.turn_id, pinned.state_digest, pinned.replayed], ['turn-0001', before.state_digest, false])
        await files()
        const { folder } = pinned
        const tree = () => readdirSync(folder, { encoding: 'utf8', recursive: true }).sort()
        const [names, body] = [tree(), readFileSync(join(folder, 'one.body.json'), 'utf8')]
        equal(names.includes('_index/refs/by_id/note/one.json'), true)
        await stage.api.turns.apply({
          ...of,
          turn_id: 'turn-0002',
          triplets: [
            { stem: 'one', body: { dto_type: 'note', id: 'one', v: 2 } },
            { stem: 'three', body: {} },
          ],
        })
        equal((await pin({ ...of, name: 'later' })).turn_id, 'turn-0002')
        await files()
        equal([tree(), readFileSync(join(folder, 'one.body.json'), 'utf8')], [names, body])
        // A turn can be pinned after later ones were promoted, and after its run has ended.
        await stage.api.runs.cancel({ ...of, outcome_reason: 'done' })
        const again = await pin({ ...of, name: 'first-again', turn_id: 'turn-0001' })
        await files()
        equal(readFileSync(join(again.folder, 'one.body.json'), 'utf8'), body)
        equal(
          (await pins(of)).pins.map(({ name, turn_id }) => [name, turn_id]),
          [
            ['first-again', 'turn-0001'],
            ['later', 'turn-0002'],
            ['release-1', 'turn-0001'],
          ],
        )
        await check(of)
      },
      'is answered with the first entry if it is repeated, and refused for another turn': async (stage) => {
        const of = await workspace(stage)
        const { pin } = stage.api.workspaces
        const { seq } = await pin({ ...of, name: 'one' })
        const repeated = await pin({ ...of, name: 'one' })
        equal([repeated.seq, repeated.replayed], [seq, true])
        await stage.api.turns.promote({ ...of, turn_id: 'turn-0002' })
        await refused(pin({ ...of, name: 'one' }), 'PIN_EXISTS')
        for (const name of ['', 'A', '../up', 'a..b', '.a', 'a.', 'a/b', 'x'.repeat(101)])
          await refused(pin({ ...of, name }), 'INVALID_INPUT')
      },
      'is of a promoted turn, and by the actor of the run': async (stage) => {
        const of = await workspace(stage)
        const { pin } = stage.api.workspaces
        await refused(pin({ ...nowhere, name: 'a' }), 'NOT_FOUND')
        await refused(pin({ ...of, name: 'a', turn_id: 'turn-0002' }), 'NOT_FOUND')
        await stage.api.turns.stage({ ...of, turn_id: 'turn-0002', triplets: [{ stem: 'new', body: {} }] })
        await refused(pin({ ...of, name: 'a', turn_id: 'turn-0002' }), 'NOT_FOUND')
        await refused(pin({ ...of, actor: stranger, name: 'a' }), 'NOT_RUN_ACTOR')
        const empty = { run_id: newName('run_space') }
        await stage.api.runs.create({ ...empty, run_kind: 'orchestrator' })
        await refused(pin({ ...empty, name: 'a' }), 'NOT_FOUND')
      },
      'is found by the check if its files were edited, and written anew if asked to': async (stage) => {
        const of = await workspace(stage)
        const { check, files, pin } = stage.api.workspaces
        const { folder } = await pin({ ...of, name: 'kept' })
        await files()
        const edited = join(folder, 'one.body.json')
        chmodSync(edited, 0o644)
        writeFileSync(edited, '{}')
        await refused(check(of), 'VERIFY_FAILED')
        await check({ ...of, rebuild: true })
        rmSync(folder, { recursive: true })
        await refused(check(of), 'VERIFY_FAILED')
        await check({ ...of, rebuild: true })
      },
    },
    unpin: {
      'gives up a pin and its files, so that the name is free': async (stage) => {
        const of = await workspace(stage)
        const { files, pin, pins, unpin } = stage.api.workspaces
        const { folder } = await pin({ ...of, name: 'kept' })
        await files()
        await refused(unpin({ ...of, actor: stranger, name: 'kept' }), 'NOT_RUN_ACTOR')
        is((await unpin({ ...of, name: 'kept' })).name, 'kept')
        await files()
        equal([existsSync(folder), (await pins(of)).pins], [false, []])
        await refused(unpin({ ...of, name: 'kept' }), 'NOT_FOUND')
        await refused(unpin({ ...nowhere, name: 'kept' }), 'NOT_FOUND')
        await stage.api.turns.promote({ ...of, turn_id: 'turn-0002' })
        is((await pin({ ...of, name: 'kept' })).turn_id, 'turn-0002')
      },
    },
    pins: {
      'lists the pins of a workspace, whichever run of it is named': async (stage) => {
        const of = await workspace(stage)
        equal(await stage.api.workspaces.pins(of), { pins: [], workspace: `run/${of.run_id}` })
        equal((await stage.api.workspaces.pins({ workflow_id: 'none' })).pins, [])
        await refused(stage.api.workspaces.pins(nowhere), 'NOT_FOUND')
      },
    },
  },
}
