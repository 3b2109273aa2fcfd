import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import { errorCodes, noticeCodes } from '../../src/domain/turn/issue.ts'
import { codes, type LockstepError } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { root as project } from '../runner.ts'
import { withLedger } from '../support/ledger.ts'
import { page as pageOf, startRun } from '../support/pages.ts'

const page = suite('the pages on turns')
const text = readFileSync(join(project, 'docs/reference/turn-checks.md'), 'utf8')

page('say for every code which command gives it first', () => {
  const [, below = ''] = text.split('## Which command first gives a code')
  const [table = ''] = below.split('\n`validate` answers')
  const ofTurns = Object.keys(codes).filter((code) => code.startsWith('E_'))
  const wanted = [...ofTurns, ...errorCodes, ...Object.keys(noticeCodes), 'GUARD_REQUIRED', 'RUN_HAS_OPEN_TURN']
  equal(
    wanted.filter((code) => !table.includes(`\`${code}\``)),
    [],
  )
})

const turn = { run_id: 'run_codes_1', turn_id: 'turn-0002' }
const link = (value: unknown) => [{ stem: 'x', body: {}, links: { to: value } }]
const issue = { details: {}, level: 'error', location: 'x', message: 'x', stage: 'stage' } as const
type Proposal = Partial<Parameters<LocalLedger['turns']['stage']>[0]>
/** What is wrong in one way; `there` is promoted. */
const wrongs: Record<string, Proposal> = {
  E_STEM_INVALID: { delete_stem: ['/'] },
  E_JSON_INVALID: { triplets: [{ stem: 'x', body: { half: 0.5 } }] },
  E_TRIPLET_INCOMPLETE: { triplets: [{ stem: 'x' }] },
  E_DTO_LINKS_WRONG_CONTAINER_SHAPE: { triplets: link(7) },
  E_STAGING_FILE_INVALID: { issues: [{ ...issue, code: 'E_STAGING_FILE_INVALID' }] },
  E_TOMBSTONE_STEM_MISMATCH: { issues: [{ ...issue, code: 'E_TOMBSTONE_STEM_MISMATCH' }] },
  LIMIT_EXCEEDED: { triplets: link({ type: 'page', id: 'x'.repeat(513) }) },
  E_TOMBSTONE_INVALID: { tombstones: [{}] },
  E_STEM_COLLISION: { triplets: [pageOf('x'), pageOf('X')] },
  E_DELETE_MISSING_TOMBSTONE: { delete_stem: ['there'] },
  E_PROMOTION_CONFLICT: { triplets: [{ ...pageOf('there'), base_digest: null }] },
  E_LSI_DUPLICATE_IDENTITY: { triplets: [{ ...pageOf('there'), stem: 'other' }] },
  E_LSI_ORPHAN_TARGET: { triplets: link({ type: 'page', id: 'nowhere' }) },
  E_PROMOTION_FAILED: { turn_id: 'turn-2' },
  E_PROMOTION_ALREADY_APPLIED: { turn_id: 'turn-0001' },
  E_PROMOTION_OUT_OF_ORDER: { turn_id: 'turn-0003' },
}

page('name the command that actually gives a code first', () =>
  withLedger(async (ledger) => {
    await startRun(ledger, turn.run_id)
    await ledger.turns.apply({ ...turn, turn_id: 'turn-0001', triplets: [pageOf('there')] })
    for (const [code, wrong] of Object.entries(wrongs)) {
      const staged = await ledger.turns.stage({ ...turn, ...wrong }).catch((error: LockstepError) => error.code)
      const verdict = typeof staged === 'string' ? undefined : await ledger.turns.validate(turn)
      const first = verdict === undefined ? 'stage' : 'validate'
      is(verdict?.issues[0]?.code ?? staged, code)
      match(text, new RegExp(`^\\|[^|]*\`${code}\`[^|]*\\| ${first}`, 'm'), `${first} gives ${code}`)
    }
  }),
)

page('have an example that runs as printed, and prints what the page says', () => {
  const text = readFileSync(join(project, 'docs/how-to/publish-turns.md'), 'utf8')
  const [, example = '', said = ''] =
    /<!-- run by test\/docs\/turns\.test\.ts -->\n```ts\n([\s\S]*?)```\n\nIt prints ([\s\S]*?)\n\n/.exec(text) ?? []
  const dir = mkdtempSync(join(tmpdir(), 'lockstep turns '))
  const file = join(dir, 'example.mts')
  const index = JSON.stringify(join(project, 'src/index.ts'))
  const source = example
    .replace("'lockstep'", index)
    .replace('const ledger', `const dir = ${JSON.stringify(dir)}\nconst ledger`)
  writeFileSync(file, source)
  const tsx = join(project, 'node_modules/tsx/dist/loader.mjs')
  const run = spawnSync(process.execPath, ['--import', tsx, file], { encoding: 'utf8' })
  rmSync(dir, { recursive: true })
  is(run.stderr, '')
  equal(
    run.stdout.trim().split('\n'),
    [...said.matchAll(/`([^`]+)`/g)].map(([, line]) => line),
  )
})

page.run()
