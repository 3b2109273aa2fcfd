import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { governed } from '../support/governed.ts'
import { stageStem } from '../support/staging.ts'

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

turns.run()
