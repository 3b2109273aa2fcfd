import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { governed } from '../support/governed.ts'
import { stageFile, stageStem } from '../support/staging.ts'

const turns = suite('the rules of lockstep turn and lockstep stem')
const runId = 'run_rules_1'
const run = ['--run', runId]
const of = (turn: number) => [...run, '--turn', `turn-${String(turn).padStart(4, '0')}`]
const body = (id: string, version = 1) => ({ body: { dto_type: 'page', id, version } })
const oneRun = [{ run_id: runId }]

turns('an empty turn is staged and promoted only with --allow-empty', () =>
  governed(oneRun, async (call, root) => {
    const out = join(root, 'empty')
    mkdirSync(out)
    const { size } = await call(0, ['head'])
    for (const verb of ['stage', 'apply']) {
      for (const source of [['--from', out], ['--from', join(root, 'missing')], []]) {
        is((await call(5, ['turn', verb, ...of(1), ...source])).code, 'E_PROMOTION_STAGE_MISSING')
      }
      const stdin = '{"triplets":[]}'
      is((await call(5, ['turn', verb, ...of(1), '--file', '-'], { stdin })).code, 'E_PROMOTION_STAGE_MISSING')
    }
    is((await call(0, ['head'])).size, size, 'the command does not ask the ledger')
    is((await call(5, ['turn', 'promote', ...of(1)])).code, 'E_PROMOTION_STAGE_MISSING')
    is((await call(0, ['turn', 'list', ...run])).last_promoted_turn_id, 'turn-0000')

    const applied = await call(0, ['turn', 'apply', ...of(1), '--from', out, '--allow-empty'])
    ok((applied.issues as { code: string }[]).some(({ code }) => code === 'I_NOOP_PROMOTION'))
    await call(0, ['turn', 'promote', ...of(2), '--allow-empty'])
    await call(0, ['turn', 'stage', ...of(3), '--from', out, '--allow-empty'])
    await call(0, ['turn', 'validate', ...of(3)])
    is((await call(5, ['turn', 'promote', ...of(3)])).code, 'E_PROMOTION_STAGE_MISSING')
    await call(0, ['turn', 'promote', ...of(3), '--allow-empty'])
    is((await call(0, ['turn', 'list', ...run])).last_promoted_turn_id, 'turn-0003')
  }),
)

turns('a malformed turn is refused as such, although nothing is staged for it', () =>
  governed(oneRun, async (call) => {
    for (const verb of ['stage', 'apply'])
      is((await call(2, ['turn', verb, ...run, '--turn', 'turn-1'])).code, 'E_PROMOTION_FAILED')
  }),
)

turns('stem digest prints the state_digest of a workspace, now, at a size and at a turn', () =>
  governed(oneRun, async (call, root) => {
    const out = join(root, 'out')
    const digest = async (...words: string[]) => (await call(0, ['stem', 'digest', ...run, ...words])).state_digest
    const states: unknown[] = []
    const sizes: unknown[] = []
    for (const turn of [1, 2]) {
      stageStem(out, 'a', body('a', turn))
      await call(0, ['turn', 'apply', ...of(turn), '--from', out])
      states.push(await digest())
      sizes.push((await call(0, ['head'])).size)
    }
    is(new Set(states).size, 2)
    equal([await digest('--at', 'turn-0001'), await digest('--at', 'turn-0002')], states)
    equal([await digest('--size', String(sizes[0])), await digest('--size', String(sizes[1]))], states)
    is((await call(3, ['stem', 'digest', ...run, '--at', 'turn-0003'])).code, 'NOT_FOUND')
    await call(0, ['turn', 'stage', ...of(3), '--from', out])
    is((await call(3, ['stem', 'digest', ...run, '--at', 'turn-0003'])).code, 'NOT_FOUND', 'it is not promoted')
    for (const words of [
      ['--at', 'turn-0001', '--size', '3'],
      ['--at', 'turn-0000'],
      ['--size', '100000'],
    ])
      is((await call(2, ['stem', 'digest', ...run, ...words])).code, 'INVALID_INPUT')
    is((await call(2, ['stem', 'digest', '--workflow', 'w', '--at', 'turn-0001'])).code, 'INVALID_INPUT')
  }),
)

turns('stem pin keeps the tree of a turn, stem pins lists it, and stem unpin gives it up', () =>
  governed(oneRun, async (call, root) => {
    const out = join(root, 'out')
    for (const turn of [1, 2]) {
      stageStem(out, 'a', body('a', turn))
      stageFile(out, 'report.md', `# Report ${turn}\n`)
      await call(0, ['turn', 'apply', ...of(turn), '--from', out])
    }
    const pinned = await call(0, ['stem', 'pin', 'first', ...run, '--at', 'turn-0001'])
    equal([pinned.turn_id, pinned.files], ['turn-0001', 'current'])
    const report = (folder: unknown) => readFileSync(join(String(folder), 'report.md'), 'utf8')
    is(report(pinned.folder), '# Report 1\n')
    is(report(join(root, `workspace/run/${runId}/current`)), '# Report 2\n')
    const { state_digest } = await call(0, ['stem', 'digest', ...run, '--at', 'turn-0001'])
    is(pinned.state_digest, state_digest)
    is((await call(5, ['stem', 'pin', 'first', ...run])).code, 'PIN_EXISTS')
    is(((await call(0, ['stem', 'pins', ...run])).pins as unknown[]).length, 1)
    await call(0, ['stem', 'unpin', 'first', ...run])
    is(existsSync(String(pinned.folder)), false)
    await call(0, ['stem', 'check', ...run])
  }),
)

turns('a run that changes the stems of another run from a directory states their bases in _base.json', () =>
  governed(
    [
      { run_id: runId, workflow_id: 'site' },
      { run_id: 'run_rules_2', workflow_id: 'site' },
    ],
    async (call, root) => {
      const out = join(root, 'out')
      const other = ['--run', 'run_rules_2', '--turn', 'turn-0001', '--from', out]
      stageFile(out, 'report.md', 'one')
      await call(0, ['turn', 'apply', ...of(1), '--from', out])
      stageFile(out, 'report.md', 'two')
      is((await call(5, ['turn', 'apply', ...other])).code, 'E_PROMOTION_CONFLICT')
      const { triplet } = await call(0, ['stem', 'show', 'report.md', '--workflow', 'site'])
      stageFile(out, '_base.json', { 'report.md': (triplet as { body_digest: string }).body_digest })
      await call(0, ['turn', 'apply', ...other])
      is(readFileSync(join(root, 'workspace/workflow/site/current/report.md'), 'utf8'), 'two')
    },
  ),
)

turns.run()
