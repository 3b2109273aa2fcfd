// limit: 360
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { root as projectRoot } from '../runner.ts'
import { type CommandOptions, lockstep, lockstepTogether } from '../support/command.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'
import { stageFile, stageStem, stageTombstone } from '../support/staging.ts'

const turns = suite('lockstep turn and lockstep stem')
const run = ['--run', 'run_turns_1']
const of = (turn: number) => [...run, '--turn', `turn-${String(turn).padStart(4, '0')}`]
const body = (id: string, version = 1) => ({ body: { dto_type: 'page', id, version } })

type Call = (status: number, words: string[], options?: CommandOptions) => Promise<Record<string, unknown>>

/** A ledger in a folder with a space, with a run that is running, worked on by processes, and verified at the end. */
function governed(title: string, work: (call: Call, root: string) => Promise<void>): void {
  turns(title, async () => {
    const root = join(temporaryRoot(), 'a root')
    await startRun(root)
    const call: Call = async (status, words, options = {}) => {
      const ended = await lockstep(['--dir', root, ...words], options)
      is(ended.status, status, `${words.join(' ')}: ${ended.stdout}${ended.stderr}`)
      return { ...ended.json, stdout: ended.stdout }
    }
    await work(call, root)
    await endsWithVerify(root)
  })
}

/** The same caller as a command without --actor is, so that it may work on the run. */
async function startRun(root: string): Promise<void> {
  mkdirSync(root)
  const ledger = await openLedger({ dir: root, create: true })
  await ledger.runs.create({ run_id: 'run_turns_1', run_kind: 'orchestrator' })
  await ledger.runs.start({ run_id: 'run_turns_1' })
  await ledger.close()
}

governed('stage, validate and promote a directory, and show the result', async (call, root) => {
  const out = join(root, 'out')
  stageStem(out, 'pages/home', { ...body('home'), links: { next: { type: 'page', id: 'about' } } })
  const staged = await call(0, ['turn', 'stage', ...of(1), '--from', out])
  equal(staged.counts, { delete_stem: 0, tombstones: 0, triplets: 1 })
  is((await call(5, ['turn', 'promote', ...of(1)])).code, 'E_PROMOTION_NOT_VALIDATED')
  const failed = await call(5, ['turn', 'validate', ...of(1)])
  equal(
    [failed.outcome, (failed.issues as { code: string }[]).map(({ code }) => code)],
    ['FAIL', ['E_LSI_ORPHAN_TARGET']],
  )
  stageStem(out, 'pages/about', body('about'))
  await call(0, ['turn', 'stage', ...of(1), '--from', out])
  is((await call(0, ['turn', 'validate', ...of(1)])).outcome, 'PASS')
  const promoted = await call(0, ['turn', 'promote', ...of(1), '--key', 'k1'])
  equal([promoted.promoted_stems, promoted.files], [['pages/about', 'pages/home'], 'current'])
  is((await call(0, ['turn', 'promote', ...of(1), '--key', 'k1'])).replayed, true)
  is((await call(5, ['turn', 'promote', ...of(1)])).code, 'E_PROMOTION_ALREADY_APPLIED')
  is((await call(5, ['turn', 'promote', ...of(3)])).code, 'E_PROMOTION_OUT_OF_ORDER')
  for (const [verb = '', malformed = ''] of [['promote', 'turn-1'], ['stage', ' turn-0002'], ['apply']])
    is((await call(2, ['turn', verb, ...run, '--turn', malformed])).code, 'E_PROMOTION_FAILED')
  is((await call(0, ['turn', 'show', ...of(1)])).status, 'promoted')
  const listed = await call(0, ['turn', 'list', ...run, '--limit', '1'])
  equal([listed.last_promoted_turn_id, (listed.turns as unknown[]).length, listed.next], ['turn-0001', 1, null])
  is((await call(3, ['turn', 'show', ...of(2)])).code, 'NOT_FOUND')
  const { stdout } = await call(0, ['stem', 'list', ...run, '--under', 'pages/a', '--jsonl'])
  equal(
    String(stdout)
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).stem),
    ['pages/about'],
  )
  const shown = await call(0, ['stem', 'show', 'pages/about', ...run])
  equal(
    (shown.referenced_by as { stem: string }[]).map(({ stem }) => stem),
    ['pages/home'],
  )
  is((await call(3, ['stem', 'show', 'pages/none', ...run])).code, 'NOT_FOUND')
  is((await call(2, ['stem', 'list'])).code, 'INVALID_INPUT')
  ok((await call(0, ['stem', 'check', ...run])).files)
  equal(readdirSync(join(root, 'workspace/run/run_turns_1/current/pages')).length, 6)
})

governed(
  'a hostile directory is refused with every issue, recorded, and nothing of it is stored',
  async (call, root) => {
    const out = join(root, 'out')
    stageStem(out, 'good', body('good'))
    stageStem(out, 'bad', { body: '{"a":1.0}' })
    symlinkSync('/etc/passwd', join(out, 'link.body.json'))
    const before = await call(0, ['head'])
    const refused = await call(2, ['turn', 'stage', ...of(1), '--from', out])
    equal(
      (refused.issues as { code: string; location: string }[]).map(({ code, location }) => `${code} ${location}`),
      ['E_JSON_INVALID bad.body.json/a', 'E_TRIPLET_INCOMPLETE link', 'E_STAGING_FILE_INVALID link.body.json'],
    )
    is(refused.code, 'E_STAGING_FILE_INVALID')
    is(Number((await call(0, ['head'])).size), Number(before.size) + 1, 'one entry: the refusal')
    const { entries } = await call(0, ['audit', 'list', '--entries', '--type', 'turn.staging_rejected'])
    is((entries as unknown[]).length, 1)
    is((await call(2, ['turn', 'promote', ...of(1)])).code, 'E_PROMOTION_FAILED')
    const main = join(projectRoot, 'dist/cli/main.js')
    const words = ['--dir', root, 'turn', 'stage', ...of(1), '--from', out]
    const { stderr, stdout } = spawnSync(process.execPath, [main, ...words], { encoding: 'utf8' })
    is(stdout, '')
    match(stderr, /CODE +WHERE +WHAT/)
    match(stderr, /E_STAGING_FILE_INVALID +link\.body\.json +it is a symbolic link/)
  },
)

governed('the folder that Lockstep owns, documents and stdin are staged as well', async (call, root) => {
  stageStem(join(root, '.lockstep/staging/run_turns_1/turn-0001'), 'own', body('own'))
  equal((await call(0, ['turn', 'apply', ...of(1)])).promoted_stems, ['own'])
  equal(readdirSync(join(root, '.lockstep/staging')), [], 'and is removed')
  const document = { triplets: [{ stem: 'doc', ...body('doc') }], tombstones: [] }
  equal((await call(0, ['turn', 'apply', ...of(2), '--file', stageFile(root, 'turn.json', document)])).promoted_stems, [
    'doc',
  ])
  const stdin = JSON.stringify({ triplets: [{ stem: 'piped', ...body('piped') }] })
  equal((await call(0, ['turn', 'apply', ...of(3), '--file', '-'], { stdin })).promoted_stems, ['piped'])
  const float = await call(2, ['turn', 'stage', ...of(4), '--file', '-'], {
    stdin: '{"triplets":[{"stem":"x","body":{"a":1.0}}]}',
  })
  equal(
    (float.issues as { location: string }[]).map(({ location }) => location),
    ['/triplets/0/body/a'],
  )
  is((await call(2, ['turn', 'stage', ...of(4), '--file', '-'], { stdin: '{"tripletts":[]}' })).code, 'INVALID_INPUT')
  is((await call(3, ['turn', 'stage', ...of(4), '--file', join(root, 'none.json')])).code, 'NOT_FOUND')
  is((await call(2, ['turn', 'stage', ...of(4), '--file', '-', '--from', root])).code, 'INVALID_INPUT')
})

governed('a directory is consumed only on request, and only its staged files', async (call, root) => {
  const out = join(root, 'out')
  stageStem(out, 'a', body('a'))
  await call(0, ['turn', 'apply', ...of(1), '--from', out])
  is(readdirSync(out).length, 3)
  stageTombstone(out, 'a', 'turn-0002', { dto_type: 'page', id: 'a' })
  for (const part of ['body', 'links', 'manifest'])
    stageFile(out, `b.${part}.json`, part === 'body' ? body('b').body : {})
  const { consumed } = await call(0, ['turn', 'stage', ...of(2), '--from', out, '--consume'])
  is((consumed as { files: number }).files, 7)
  equal(readdirSync(out), [])
  is((await call(2, ['turn', 'stage', ...of(2), '--consume'])).code, 'INVALID_INPUT')
  await call(0, ['turn', 'reject', ...of(2), '--reason', 'not yet'])
  is((await call(5, ['turn', 'promote', ...of(2)])).code, 'E_PROMOTION_NOT_VALIDATED')
})

governed('a turn is not promoted if its guard does not hold', async (call, root) => {
  const out = join(root, 'out')
  stageStem(out, 'a', body('a'))
  const { lock_id, token } = await call(0, ['lock', 'acquire', 'site', '--holder', 'me'])
  await call(0, ['turn', 'stage', ...of(1), '--from', out, '--guard', `site@${token}`])
  await call(0, ['turn', 'validate', ...of(1), '--guard', `site@${token}`])
  await call(0, ['lock', 'release', String(lock_id)])
  is((await call(5, ['turn', 'promote', ...of(1), '--guard', `site@${token}`])).code, 'STALE_TOKEN')
  is((await call(0, ['turn', 'list', ...run])).phase, 'PROMOTION_REJECTED')
  await call(0, ['turn', 'promote', ...of(1)])
})

governed('an existing state is imported as the first turn, without its index', async (call, root) => {
  const old = join(root, 'old')
  stageStem(old, 'a', { ...body('a'), links: { to: { type: 'page', id: 'b' } } })
  stageStem(old, 'deep/b', body('b'))
  stageFile(old, '_index/refs/by_id/page/b.json', {})
  equal((await call(0, ['stem', 'import', old, ...run])).promoted_stems, ['a', 'deep/b'])
  is((await call(5, ['stem', 'import', old, ...run])).code, 'E_PROMOTION_ALREADY_APPLIED')
  const current = join(root, 'workspace/run/run_turns_1/current')
  is(JSON.parse(readFileSync(join(current, '_index/refs/by_id/page/b.json'), 'utf8')).sources.length, 1)
})

governed('a run with an open turn is completed only with the option to discard it', async (call, root) => {
  stageStem(join(root, 'out'), 'a', body('a'))
  await call(0, ['turn', 'stage', ...of(1), '--from', join(root, 'out')])
  const complete = ['run', 'complete', 'run_turns_1', '--reason', 'done']
  is((await call(5, complete)).code, 'RUN_HAS_OPEN_TURN')
  await call(0, [...complete, '--discard-turn'])
  is((await call(0, ['turn', 'show', ...of(1)])).status, 'rejected')
  is((await call(0, ['turn', 'list', ...run])).phase, 'RUN_COMPLETED')
})

governed('a workspace tree is imported through its link, every stem under its own name', async (call, root) => {
  const stems = ['CON/a:b.', '100%', `${'x'.repeat(250)}/y`]
  const document = JSON.stringify({ triplets: stems.map((stem) => ({ stem, ...body(stem) })) })
  await call(0, ['turn', 'apply', ...of(1), '--file', '-'], { stdin: document })
  await call(0, ['run', 'create', '--kind', 'orchestrator', '--run-id', 'run_turns_2'])
  await call(0, ['run', 'start', 'run_turns_2'])
  const current = join(root, 'workspace/run/run_turns_1/current')
  equal((await call(0, ['stem', 'import', current, '--run', 'run_turns_2'])).promoted_stems, stems.toSorted())
  await call(0, ['stem', 'check', '--run', 'run_turns_2'])
  is((await call(3, ['stem', 'import', join(root, 'none'), '--run', 'run_turns_2'])).code, 'NOT_FOUND')
})

governed('a damaged workspace is found, and rebuilt on request', async (call, root) => {
  stageStem(join(root, 'out'), 'a', body('a'))
  await call(0, ['turn', 'apply', ...of(1), '--from', join(root, 'out')])
  writeFileSync(join(root, 'workspace/run/run_turns_1/current/stray.txt'), 'stray')
  const found = await call(6, ['stem', 'check', ...run])
  equal(found.differences, [{ path: 'stray.txt', is: 'stray' }])
  is((await call(0, ['stem', 'check', ...run, '--rebuild'])).files, 4)
  is((await call(0, ['stem', 'check', ...run])).files, 4)
})

governed('of several commands that promote one turn at once, one succeeds', async (call, root) => {
  stageStem(join(root, 'out'), 'a', body('a'))
  await call(0, ['turn', 'stage', ...of(1), '--from', join(root, 'out')])
  await call(0, ['turn', 'validate', ...of(1)])
  const ends = await lockstepTogether(Array.from({ length: 4 }, () => ['--dir', root, 'turn', 'promote', ...of(1)]))
  const told = ends.map(({ json, status }) => (status === 0 ? 'done' : String(json.code))).sort()
  equal(told, [...Array.from({ length: 3 }, () => 'E_PROMOTION_ALREADY_APPLIED'), 'done'])
})

turns.run()
