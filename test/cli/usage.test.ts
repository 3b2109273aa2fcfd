import { spawnSync } from 'node:child_process'
import { existsSync, openSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { root as projectRoot } from '../runner.ts'
import { lockstep } from '../support/command.ts'
import { makeDeliverable } from '../support/deliverable.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const usage = suite('usage')
const main = join(process.env.LOCKSTEP_TEST_DIST ?? join(projectRoot, 'dist'), 'cli/main.js')

async function newRoot(): Promise<string> {
  const root = temporaryRoot()
  await (await openLedger({ dir: root, create: true, policy: false, actor: testActor })).close()
  return root
}

/** Its entries, counted in this process: a command would cost ten times as much. Then it is verified. */
async function sizeOf(root: string): Promise<number> {
  const ledger = await openLedger({ dir: root, actor: testActor })
  try {
    await ledger.log.verify()
    return (await ledger.head.get()).size
  } finally {
    await ledger.close()
  }
}

/** The command as it stands, without --json and with what is to be stdout. */
function plainly(root: string, words: readonly string[], stdout: number | 'pipe' = 'pipe') {
  const argv = [main, '--dir', root, ...words]
  return spawnSync(process.execPath, argv, { encoding: 'utf8', stdio: ['ignore', stdout, 'pipe'] })
}

const exec = ['run', 'exec', '--lane', 'L', '--tool', 'T']
for (const [what, words] of [
  ['lock run without a name', ['lock', 'run', '--json', '--', 'echo', 'ran']],
  ['lock run with two names', ['lock', 'run', 'a', 'b', '--json', '--', 'echo', 'ran']],
  ['lock run without --', ['lock', 'run', 'a', 'echo', 'ran', '--json']],
  ['lock run without a command', ['lock', 'run', 'a', '--json', '--']],
  ['lock run with a name and a folder', ['lock', 'run', 'a', '--folder', '.', '--json', '--', 'echo', 'ran']],
  ['run exec with a word before --', [...exec, 'a', '--json', '--', 'echo', 'ran']],
  ['run exec without --', [...exec, 'echo', 'ran', '--json']],
] as const) {
  usage(`${what} runs nothing: the command is what stands behind --`, async () => {
    const root = await newRoot()
    const { status, stdout } = plainly(root, words)
    equal([status, JSON.parse(stdout).code], [2, 'INVALID_INPUT'], stdout)
    is(await sizeOf(root), 1)
  })
}

usage('the command after -- is passed on completely, including another --', async () => {
  const root = await newRoot()
  is(plainly(root, ['lock', 'run', 'a', '--', 'echo', '--', '--json']).stdout, '-- --json\n')
  await endsWithVerify(root)
})

for (const words of [
  ['lock', 'acquire', '--folder=', '--holder', 'h', '--pid', '1'],
  ['lock', 'run', '--folder=', '--json', '--', 'echo', 'ran'],
  ['lock', 'import', ''],
]) {
  usage(`an empty path is not the working directory: ${words.join(' ')}`, async () => {
    const root = await newRoot()
    const { status, stdout } = plainly(root, words.includes('--json') ? words : [...words, '--json'])
    equal([status, JSON.parse(stdout).code], [2, 'INVALID_INPUT'], stdout)
    is(await sizeOf(root), 1)
  })
}

const lockId = 'lck_V1StGXR8_Z5jdHi6B-myT'
const project = ['lock', 'acquire', '--target', 'IAMBECCA | ACME | SITE | shop | NEO', '--run-id', 'r']
const explain = ['policy', 'explain', '--run-id', 'run_draft1', '--action', 'tool_call', '--lane', 'L', '--target', 'T']
for (const [option, words] of [
  ['--run-id', ['lock', 'acquire', 'a', '--holder', 'h', '--run-id', 'r']],
  ['--lock-owner', ['lock', 'acquire', 'a', '--holder', 'h', '--lock-owner', 'r']],
  ['--release-condition', ['lock', 'acquire', '--folder', '.', '--holder', 'h', '--release-condition', 'x']],
  ['--lease', [...project, '--lease', '5m']],
  ['--holder', [...project, '--holder', 'h']],
  ['--pid', [...project, '--pid', '1']],
  ['--wait', [...project, '--wait', '1']],
  ['--lock-id', [...project, '--lock-id', lockId]],
  ['--outcome', ['lock', 'release', '--run-id', 'r', '--final-status', 'COMPLETE', '--outcome', 'failure']],
  ['--override', ['lock', 'release', lockId, '--override']],
  ['--final-status', ['lock', 'release', lockId, '--final-status', 'FAILED']],
  ['--reason', ['lock', 'release', lockId, '--reason', 'x']],
  ['--kind', [...explain, '--kind', 'agent']],
] as const) {
  usage(`${words.slice(0, 3).join(' ')} … ${option}: an option that means nothing there is refused`, async () => {
    const root = await newRoot()
    const { json, status, stdout } = await lockstep(['--dir', root, ...words])
    equal([status, json.code], [2, 'INVALID_INPUT'], stdout)
    match(String(json.message), option)
    is(await sizeOf(root), 1)
  })
}

for (const words of [[], ['lock'], ['help', 'bogus'], ['lock', 'help', 'bogus']]) {
  usage(`"${['lockstep', ...words].join(' ')}" with --json is a problem document, exit 2`, async () => {
    const { json, status, stdout } = await lockstep(words)
    equal([status, json.code], [2, 'INVALID_INPUT'], stdout)
  })
}

for (const actor of ['human:', 'agent:', 'system:']) {
  usage(`the actor "${actor}" has no id`, async () => {
    const root = await newRoot()
    const { json, status } = await lockstep(['--dir', root, '--actor', actor, 'head'])
    equal([status, json.code], [2, 'INVALID_INPUT'])
  })
}

for (const text of ['1e3', '0x10', ' 5', '-1', '1.5', '', '99999999999999999999']) {
  usage(`"${text}" is not a whole number`, async () => {
    const root = await newRoot()
    const { json, status } = await lockstep(['--dir', root, 'audit', 'list', '--limit', text])
    equal([status, json.code], [2, 'INVALID_INPUT'])
  })
}

usage('lock history --limit 0 does not say that the lock was never locked', async () => {
  const root = await newRoot()
  is((await lockstep(['--dir', root, 'lock', 'acquire', 'a', '--holder', 'h'])).status, 0)
  const { json, status } = await lockstep(['--dir', root, 'lock', 'history', 'a', '--limit', '0'])
  equal([status, json.code], [2, 'INVALID_INPUT'])
  await endsWithVerify(root)
})

usage('lock list --under an ungoverned folder is refused; a vanished folder is found by any spelling', async () => {
  const root = await newRoot()
  const { path } = makeDeliverable(root)
  const held = ['lock', 'acquire', '--folder', path, '--holder', 'h', '--pid', String(process.pid)]
  is((await lockstep(['--dir', root, ...held])).status, 0)
  const other = temporaryRoot()
  const under = (dir: string) => lockstep(['--dir', root, 'lock', 'list', '--under', dir])
  const { json, status } = await under(other)
  equal([status, json.code], [2, 'INVALID_INPUT'])
  symlinkSync(root, join(other, 'link'))
  rmSync(path, { recursive: true })
  const { json: listing } = await under(path.replace(root, join(other, 'link')))
  is((listing.locks as unknown[]).length, 1)
})

usage('there are no colours in a file or a pipe, whatever the environment says', async () => {
  const root = await newRoot()
  for (const words of [['lock', 'bogus'], ['doctor'], ['lock', 'status', 'none']]) {
    const env = { ...process.env, CI: '1', FORCE_COLOR: '1', NO_COLOR: undefined }
    const { stderr, stdout } = spawnSync(process.execPath, [main, '--dir', root, ...words], { encoding: 'utf8', env })
    ok(stderr + stdout !== '' && !(stderr + stdout).includes('\x1b'), stderr + stdout)
  }
})

usage('an empty list prints nothing or says so; a page says where the next page begins', async () => {
  const root = await newRoot()
  for (const run_id of ['run_first1', 'run_other1'])
    is((await lockstep(['--dir', root, 'run', 'create', '--kind', 'agent', '--run-id', run_id])).status, 0)
  is(plainly(root, ['audit', 'list', '--type', 'lock.broken']).stdout, '')
  is(plainly(root, ['lock', 'list', '--orphans']).stdout, 'no orphans\n')
  match(plainly(root, ['run', 'list', '--limit', '1']).stdout, /\nmore: --cursor run_first1\n$/)
  await endsWithVerify(root)
})

if (existsSync('/dev/zero')) {
  usage('an endless file is INVALID_INPUT and is not read', async () => {
    const root = await newRoot()
    const action = ['--action', 'tool_call', '--lane', 'L', '--target', 'T']
    for (const words of [
      ['audit', 'append', '--file', '/dev/zero'],
      ['run', 'authorize', 'run_first1', ...action, '--artifacts', '/dev/zero'],
      ['turn', 'stage', '--run', 'run_first1', '--turn', 'turn-0001', '--file', '/dev/zero'],
    ]) {
      const { json, status, stdout } = await lockstep(['--dir', root, ...words])
      equal([status, json.code], [2, 'INVALID_INPUT'], stdout)
    }
    is(await sizeOf(root), 1)
  })
}

if (existsSync('/dev/full')) {
  const full = openSync('/dev/full', 'w')

  usage('an answer that does not fit on a full disk is DISK_FULL on stderr, exit 7, also with --json', async () => {
    const root = await newRoot()
    for (const words of [['head'], ['head', '--json'], ['audit', 'tail', '--from', '0', '--count', '1']]) {
      const { status, stderr } = plainly(root, words, full)
      is(status, 7, stderr)
      match(stderr, /^DISK_FULL: /)
    }
    await endsWithVerify(root)
  })

  usage('a refusal that cannot be written to stdout goes to stderr, and keeps its exit code', async () => {
    const root = await newRoot()
    const { status, stderr } = plainly(root, ['lock', 'status', 'none', '--json'], full)
    is(status, 3)
    ok(stderr.startsWith('NOT_FOUND: '), stderr)
  })
}

usage.run()
