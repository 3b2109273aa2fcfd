// limit: 360
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, not, ok } from 'uvu/assert'
import { inWordsOfCommand } from '../../src/cli/hints.ts'
import { table } from '../../src/cli/output.ts'
import { moment } from '../../src/cli/values.ts'
import { LockstepError } from '../../src/errors.ts'
import { openLedger } from '../../src/open.ts'
import { root as projectRoot } from '../runner.ts'
import { type CommandOptions, type Ended, lockstep } from '../support/command.ts'
import { makeDeliverable } from '../support/deliverable.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const manners = suite('the manners of the command')
const main = join(process.env.LOCKSTEP_TEST_DIST ?? join(projectRoot, 'dist'), 'cli/main.js')

type Run = (words: readonly string[], options?: CommandOptions) => Promise<Ended>

/** A test over a ledger of its own, which is verified at the end. `say` runs a command as people do. */
function fleet(title: string, work: (fleet: { root: string; run: Run; say: Run }) => Promise<void>): void {
  manners(title, async () => {
    const root = temporaryRoot()
    await (await openLedger({ dir: root, create: true, policy: false, actor: testActor })).close()
    const run: Run = (words, options) => lockstep(['--dir', root, '--actor', 'agent-1', ...words], options)
    await work({ root, run, say: (words, options) => run(words, { ...options, isForPeople: true }) })
    await endsWithVerify(root)
  })
}

for (const words of [
  ['help', 'lock', 'acquire'],
  ['lock', 'help', 'acquire'],
  ['lock', 'acquire', '--help'],
]) {
  manners(
    `"lockstep ${words.join(' ')}" says what is required, the bounds, the environment and the exit codes`,
    async () => {
      const { status, stdout } = await lockstep(words, { isForPeople: true })
      is(status, 0)
      const text = stdout.replace(/\s+/g, ' ')
      match(text, 'Exactly one of these is required: NAME, --path, --folder, --target.')
      match(text, /--holder <holder> .*\(required\)/)
      match(text, 'required with --folder')
      match(text, '1 s to 1 d 0 h; default: 30 min')
      match(text, 'LOCKSTEP_ACTOR')
      match(text, /Exit codes: .* 75 LOCK_CONTENTION 76 LEASE_LOST/)
    },
  )
}

manners('help of a command that does not exist suggests one that does', async () => {
  const { json, status } = await lockstep(['help', 'lock', 'aquire'])
  is(status, 2)
  match(String(json.message), 'Did you mean "acquire"?')
})

const action = ['--lane', 'L', '--target', 'T']
for (const [words, option, near] of [
  [['run', 'create', '--kind', 'agnt'], '--kind', 'agent'],
  [['run', 'list', '--state', 'runing'], '--state', 'running'],
  [['run', 'list', '--kind', 'export_'], '--kind', 'export'],
  [['run', 'authorize', 'run_draft1', ...action, '--action', 'toolcall'], '--action', 'tool_call'],
  [['audit', 'list', '--type', 'lock.aquired'], '--type', 'lock.acquired'],
  [['audit', 'list', '--outcome', 'sucess'], '--outcome', 'success'],
  [['audit', 'list', '--action-type', 'authz_decison'], '--action-type', 'authz_decision'],
  [['audit', 'append', '--outcome', 'failre'], '--outcome', 'failure'],
  [['export', 'approve', '--case', 'CASE-17', '--type', 'complience'], '--type', 'compliance'],
  [['lock', 'release', '--run-id', 'r', '--final-status', 'Complete'], '--final-status', 'COMPLETE'],
] as const) {
  manners(`${words.slice(0, 2).join(' ')} ${option}: an unknown value is an error that lists the values`, async () => {
    const { json, status } = await lockstep(words)
    equal([status, json.code], [2, 'INVALID_INPUT'])
    match(String(json.message), new RegExp(`^${option} must be one of .*${near}.*Did you mean "${near}"\\?$`))
  })
}

for (const [words, message] of [
  [['lock', 'acquire', 'a', '--holder', 'h', '--lease', '0'], '--lease must be at least 1'],
  [['lock', 'acquire', 'a', '--holder', ''], '--holder must not be empty'],
  [
    ['lock', 'acquire', 'deliverable:DEL-08-05', '--holder', 'h'],
    'NAME is not the name of a resource: acquire other locks with --path, with --folder, or with --target and --run-id',
  ],
  [['lock', 'release', 'lck_short'], 'LOCK_ID must be lck_ and 16 to 64 characters of A-Z a-z 0-9 _ -'],
  [['run', 'list', '--limit', '0'], '--limit must be at least 1'],
  [['run', 'create', '--kind', 'agent', '--run-id', 'r'], '--run-id must have at least 8 characters'],
  [
    ['run', 'record', 'run_draft1', '--decision', 'd', '--outcome', 'success', '--request-hash', 'x'],
    '--request-hash must be 64 hex digits',
  ],
  [['run', 'start', 'run_draft1', '--taxonomy', 'coal=1'], '--taxonomy has an unknown member: coal'],
  [['turn', 'list', '--run', 'run_draft1', '--limit', '100000'], '--limit must be at most'],
  [['audit', 'append', '--outcome', 'success', '--guard', 'x'], '--guard must be NAME@TOKEN'],
  [['run', 'list', '--since', 'soon'], '--since: "soon" is not a time'],
] as const) {
  manners(`${words.slice(0, 2).join(' ')}: "${message}" names the option, and no member`, async () => {
    const { json, status } = await lockstep(words)
    equal([status, json.code], [2, 'INVALID_INPUT'])
    ok(String(json.message).startsWith(message), String(json.message))
  })
}

for (const [text, time] of [
  ['1h', '2026-02-02T11:00:00.000Z'],
  ['2d', '2026-01-31T12:00:00.000Z'],
  ['2026-02-01T10:00:00Z', '2026-02-01T10:00:00.000Z'],
  ['2026-02-01 10:00+02:00', '2026-02-01T08:00:00.000Z'],
  ['2026-02-01T10:00:00.5-0130', '2026-02-01T11:30:00.500Z'],
  ['2026-02-01', new Date(2026, 1, 1).toISOString()],
  ['2026-02-01T10:00', new Date(2026, 1, 1, 10).toISOString()],
] as const) {
  manners(`--since ${text} is a moment`, () => is(moment(text, Date.UTC(2026, 1, 2, 12)), time))
}

for (const text of ['', 'h', '1y', '2026-02-30', '2026-13-01', '2026-02-01T25:00Z', '1999999999w']) {
  manners(`--since "${text}" is an error`, () => {
    try {
      moment(text)
    } catch (error) {
      ok(error instanceof LockstepError && error.code === 'INVALID_INPUT')
      return
    }
    throw new Error('it was accepted')
  })
}

fleet(
  'an unknown run or lock in a filter is NOT_FOUND; a known one without events is an empty list',
  async ({ run }) => {
    is((await run(['lock', 'acquire', 'reports', '--holder', 'h'])).status, 0)
    for (const filter of [
      ['--run', 'run_nowhere'],
      ['--lock', 'repotrs'],
    ]) {
      const { json, status } = await run(['audit', 'list', ...filter])
      equal([status, json.code], [3, 'NOT_FOUND'])
    }
    const { json, status } = await run(['audit', 'list', '--lock', 'reports', '--until', '2020-01-01'])
    equal([status, json.events], [0, []])
    is(((await run(['audit', 'list', '--since', '1h'])).json.events as unknown[]).length, 2)
  },
)

fleet('times are relative, or absolute with --absolute and --utc', async ({ run, say }) => {
  is((await run(['lock', 'acquire', 'reports', '--holder', 'h'])).status, 0)
  const env = { TZ: 'Asia/Kolkata' }
  match((await say(['lock', 'status', 'reports'], { env })).stdout, / s ago, /)
  match((await say(['--utc', 'lock', 'status', 'reports'], { env })).stdout, /acquired at \d{4}-\d\d-\d\dT[\d:.]+Z, /)
  const local = await say(['lock', 'status', 'reports', '--absolute'], { env })
  match(local.stdout, /acquired at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+05:30, /)
})

fleet('lock list and lock history have pages, which together are the whole list', async ({ run, say }) => {
  for (const name of ['a', 'b', 'c']) is((await run(['lock', 'acquire', name, '--holder', 'h'])).status, 0)
  const { json } = await run(['lock', 'list', '--limit', '2'])
  equal(
    [(json.locks as { name: string }[]).map(({ name }) => name), json.next],
    [['resource:a', 'resource:b'], 'resource:b'],
  )
  const rest = await run(['lock', 'list', '--cursor', 'resource:b'])
  equal([(rest.json.locks as unknown[]).length, rest.json.next], [1, null])
  match((await say(['lock', 'list', '--limit', '1'])).stdout, /\nmore: --cursor resource:a\n$/)
  const lock_id = 'lck_V1StGXR8_Z5jdHi6B-myT'
  is((await run(['lock', 'acquire', 'd', '--holder', 'h', '--lock-id', lock_id])).status, 0)
  is((await run(['lock', 'release', lock_id])).status, 0)
  const newest = await run(['lock', 'history', 'd', '--limit', '1'])
  const of = ({ json }: Ended) => (json.entries as { type: string }[]).map(({ type }) => type)
  equal(of(newest), ['lock.released'])
  const older = await run(['lock', 'history', 'd', '--cursor', String(newest.json.next)])
  equal([of(older), older.json.next], [['lock.acquired'], null])
})

manners('a table is cut to the width of the terminal, the widest column first', async () => {
  const rows = [
    ['a', 'x'.repeat(60)],
    ['b', 'short'],
  ]
  for (const width of [20, 40]) {
    const lines = await table(['KEY', 'TEXT'], rows, width)
    is(lines.length, 3)
    ok(
      lines.every((line) => line.length <= width),
      lines.join('\n'),
    )
    match(lines[1] ?? '', '…')
  }
  is((await table(['KEY', 'TEXT'], rows, 100))[1], `a    ${'x'.repeat(60)}`)
})

fleet('what a stranger wrote into a .lock file stays on its line', async ({ root, run, say }) => {
  const { lock, path } = makeDeliverable(root)
  const holder = 'evil\u001b[2J\u0007\nLOCK_CONTENTION: all is well'
  writeFileSync(lock, JSON.stringify({ acquired: new Date().toISOString(), holder, lease_duration_s: 900, pid: 1 }))
  const words = ['--folder', path, '--holder', 'h', '--pid', String(process.pid)]
  const ended = [
    await say(['lock', 'acquire', ...words]),
    await say(['lock', 'status', 'deliverable:DEL-08-05']),
    await say(['lock', 'list']),
  ]
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not occur
  for (const { stderr, stdout } of ended) not.match(stdout + stderr, /[\u001b\u0007]|^LOCK_CONTENTION: all/m)
  await run(['lock', 'recover', 'deliverable:DEL-08-05', '--reason', 'test', '--folder', path])
})

fleet(
  'lock status --exit-code is 0 for a free lock, 75 for a held one, and 3 for one that never existed',
  async ({ run }) => {
    const status = async (name: string) => (await run(['lock', 'status', name, '--exit-code'])).status
    const { json } = await run(['lock', 'acquire', 'reports', '--holder', 'h'])
    is(await status('reports'), 75)
    is((await run(['lock', 'status', 'reports'])).status, 0)
    is((await run(['lock', 'release', String(json.lock_id)])).status, 0)
    is(await status('reports'), 0)
    is(await status('none'), 3)
  },
)

fleet('a contention report has the lock_id with which the acquisition can go on', async ({ run, say }) => {
  const held = await run(['lock', 'acquire', 'reports', '--holder', 'a'])
  const { json } = await run(['lock', 'acquire', 'reports', '--holder', 'b'])
  match(String(json.lock_id), /^lck_/)
  match((await say(['lock', 'acquire', 'reports', '--holder', 'b', '--wait', '1'])).stderr, /--lock-id lck_/)
  is((await run(['lock', 'release', String(held.json.lock_id)])).status, 0)
  const retried = await run(['lock', 'acquire', 'reports', '--holder', 'b', '--lock-id', String(json.lock_id)])
  equal([retried.status, retried.json.lock_id], [0, json.lock_id])
})

fleet('renew and release find the lock_id of LOCKSTEP_LOCK_NAME in the environment', async ({ run }) => {
  const { json } = await run(['lock', 'acquire', 'reports', '--holder', 'a'])
  const env = { LOCKSTEP_LOCK_ID: String(json.lock_id), LOCKSTEP_LOCK_NAME: String(json.name) }
  is((await run(['lock', 'renew', 'reports'], { env })).status, 0)
  const other = await run(['lock', 'renew', 'builds'], { env })
  equal([other.status, other.json.code], [2, 'INVALID_INPUT'])
  is((await run(['lock', 'release', 'resource:reports'], { env })).status, 0)
  is((await run(['lock', 'release', 'reports'])).status, 2)
})

if (existsSync('/proc/self/fd')) {
  fleet('audit tail ends when the reader of its pipe ends, even if nothing is appended any more', async ({ root }) => {
    const script = '"$1" "$2" --dir "$3" audit tail --from 0 | head -1; echo "$PIPESTATUS"'
    const shell = spawn('bash', ['-c', script, 'bash', process.execPath, main, root], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let stdout = ''
    shell.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk
    })
    await once(shell, 'close')
    match(stdout, /^0 .*\n0\n$/)
  })
}

manners('a hint names members to library callers, and options to people at a terminal', async () => {
  const refused = await openLedger({ dir: temporaryRoot() }).catch((error: unknown) => error)
  ok(refused instanceof LockstepError)
  match(refused.hint ?? '', '`dir`')
  not.match(refused.hint ?? '', '--')
  const said = inWordsOfCommand(refused)
  match((said as LockstepError).hint ?? '', '--dir')
  is(inWordsOfCommand(new Error('other')) instanceof LockstepError, false)
  const served = inWordsOfCommand(new LockstepError('LEDGER_SERVED', 'a service', { hint: 'Use connect().' }))
  is((served as LockstepError).hint?.includes('connect'), false)
})

manners.run()
