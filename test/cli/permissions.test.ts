import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, not, ok } from 'uvu/assert'
import { root as projectRoot } from '../runner.ts'
import { type CommandOptions, lockstep } from '../support/command.ts'
import { contentOf, makeDeliverable } from '../support/deliverable.ts'
import { endsWithVerify, reachableRoot, temporaryRoot } from '../support/ledger.ts'
import { canReach, give } from '../support/other-user.ts'

const self = process.geteuid?.() ?? 0
const user = 65_534
const permissions = suite('owners and modes of .lockstep')

async function newRoot(): Promise<string> {
  const root = temporaryRoot()
  const made = await lockstep(['init', root])
  is(made.status, 0, made.stdout)
  return root
}

/** What was set wrong, and the modes and owner that it had. */
type Wrong = [what: string, name: string, change: (path: string) => void, rootOnly?: boolean]

const openToAll = (path: string) => chmodSync(path, 0o777)
const givenAway = (path: string) => chownSync(path, 54_321, 54_321)
const wrongs: Wrong[] = [
  ['.lockstep that everybody may write', '', openToAll],
  ['.lockstep that others may read', '', (path) => chmodSync(path, 0o755)],
  ['a configuration that a group may write', 'config.json', (path) => chmodSync(path, 0o620)],
  ['a key that others may write', 'key', (path) => chmodSync(path, 0o602)],
  ['a folder of policies that everybody may write', 'policy', openToAll],
  ['a lanes.yaml that everybody may write', 'policy/lanes.yaml', (path) => chmodSync(path, 0o666)],
  ['a database that everybody may write', 'ledger', openToAll],
  ['a configuration of another user', 'config.json', givenAway, true],
  ['a key of another user', 'key', givenAway, true],
  ['a database of another user', 'ledger', givenAway, true],
  ['a file of the database of another user', 'ledger/CURRENT', givenAway, true],
  ['a roles.yaml of another user', 'policy/roles.yaml', givenAway, true],
]

let shared: Promise<string> | undefined
const commands = [['head'], ['lock', 'acquire', 'a', '--holder', 'h'], ['verify'], ['policy', 'show'], ['lock', 'list']]

for (const [index, [what, name, change, rootOnly]] of wrongs.entries()) {
  permissions(
    `${what}: LEDGER_INSECURE, exit 4, nothing changed, and the command that it names puts it right`,
    async () => {
      if (rootOnly && self !== 0) return console.log('only root gives files away: no file is another user’s')
      shared ??= newRoot()
      const root = await shared
      const path = join(root, '.lockstep', name)
      change(path)
      const before = contentOf(root)
      const { json, status, stdout } = await lockstep(['--dir', root, ...(commands[index % commands.length] ?? [])])
      equal([status, json.code, json.path], [4, 'LEDGER_INSECURE', path], stdout)
      equal(contentOf(root), before)
      is(spawnSync('sh', ['-c', String(json.command)]).status, 0, String(json.command))
      await endsWithVerify(root)
    },
  )
}

permissions('a link in place of the database is LEDGER_INSECURE, wherever it leads', async () => {
  const [root, other] = [await newRoot(), await newRoot()]
  const ledger = join(root, '.lockstep/ledger')
  rmSync(ledger, { recursive: true })
  symlinkSync(join(other, '.lockstep/ledger'), ledger)
  const { json, status } = await lockstep(['--dir', root, 'head'])
  equal([status, json.code, json.is], [4, 'LEDGER_INSECURE', 'is a symbolic link'])
  await endsWithVerify(other)
})

const withoutModes: CommandOptions = {
  preload: join(projectRoot, 'fixtures/lock/other-file-system.mjs'),
  env: { LOCKSTEP_TEST_FS: 'no modes' },
}

permissions('on a disk without file modes init requires --accept-permissions, and records it', async () => {
  const root = temporaryRoot()
  const refused = await lockstep(['init', root], withoutModes)
  equal([refused.status, refused.json.code], [4, 'LEDGER_INSECURE'], refused.stdout)
  ok(String(refused.json.hint).includes('--accept-permissions'))
  equal(readdirSync(root), [])
  const made = await lockstep(['init', root, '--accept-permissions'], withoutModes)
  is(made.status, 0, made.stdout)
  is(configOf(root).accept_permissions, true)
  for (const words of [['head', '--signed'], ['lock', 'acquire', 'a', '--holder', 'h'], ['verify']]) {
    const ended = await lockstep(['--dir', root, ...words], withoutModes)
    is(ended.status, 0, ended.stdout)
  }
  const doctor = await lockstep(['--dir', root, 'doctor'], withoutModes)
  is(doctor.status, 0, doctor.stdout)
  await endsWithVerify(root)
})

permissions('that record is ignored on a disk with file modes, whoever wrote it', async () => {
  const root = temporaryRoot()
  is((await lockstep(['init', root, '--accept-permissions'])).status, 0)
  not.ok('accept_permissions' in configOf(root), 'this disk keeps modes')
  const config = join(root, '.lockstep/config.json')
  writeFileSync(config, JSON.stringify({ ...configOf(root), accept_permissions: true }))
  chmodSync(join(root, '.lockstep'), 0o777)
  is((await lockstep(['--dir', root, 'head'])).json.code, 'LEDGER_INSECURE')
  chmodSync(join(root, '.lockstep'), 0o700)
  await endsWithVerify(root)
})

function configOf(root: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(root, '.lockstep/config.json'), 'utf8')) as Record<string, unknown>
}

for (const [mask, forbidden, whose] of [
  ['000', 0o022, 'nobody else may write'],
  ['077', 0o077, 'nobody else may read'],
] as const) {
  permissions(`with an umask of ${mask} ${whose} what is made`, async () => {
    const root = temporaryRoot()
    const folder = makeDeliverable(root).path
    const known = new Set(Object.keys(contentOf(root)))
    const wrapper = ['sh', '-c', `umask ${mask}; exec "$@"`, 'sh']
    const run = async (...words: string[]) => {
      const ended = await lockstep(['--dir', root, '--actor', 'BECCA', ...words], { wrapper })
      is(ended.status, 0, `${words}: ${ended.stdout}`)
    }
    await makeEverything(root, folder, run)
    const wide = Object.keys(contentOf(root)).filter((name) => {
      const { isLink, mode } = statOf(join(root, name))
      // Who holds a lock is for everybody to read; LevelDB's files stand behind a closed folder.
      const isMeant = known.has(name) || name.endsWith('/.lock') || name.startsWith('.lockstep/ledger/')
      const isBehind = forbidden === 0o077 && name.startsWith('.lockstep/')
      return !isLink && !isMeant && !isBehind && (mode & forbidden) !== 0
    })
    equal(wide, [])
    await endsWithVerify(root)
  })
}

/** A ledger, a lock of each kind, a run with a promoted turn and its workspace. */
async function makeEverything(
  root: string,
  folder: string,
  run: (...words: string[]) => Promise<unknown>,
): Promise<void> {
  await run('init', root, '--gitignore')
  await run('lock', 'acquire', '--folder', folder, '--holder', 'h', '--pid', String(process.pid))
  const target = 'IAMBECCA | ACME | SITE | shop | NEO'
  await run('lock', 'acquire', '--target', target, '--run-id', 'run_ACME_shop_2026-02-02_001')
  await run('run', 'create', '--kind', 'orchestrator', '--run-id', 'run_draft_1')
  await run('run', 'start', 'run_draft_1')
  const turn = join(temporaryRoot(), 'turn.json')
  const triplets = [{ stem: 'pages/home', body: { a: 1 }, links: {}, manifest: {} }]
  writeFileSync(turn, JSON.stringify({ triplets }))
  chmodSync(turn, 0o644)
  chmodSync(join(turn, '..'), 0o755)
  await run('turn', 'apply', '--run', 'run_draft_1', '--turn', 'turn-0001', '--file', turn)
}

function statOf(path: string) {
  const stat = lstatSync(path)
  return { mode: stat.mode & 0o777, isLink: stat.isSymbolicLink(), uid: stat.uid, gid: stat.gid }
}

const ofRoot = suite('root in the folder of another user')

for (const [what, first] of [
  ['made by its user', user],
  ['made by root', 0],
] as const) {
  ofRoot(`leaves no file that its user cannot handle, in a ledger ${what}`, async () => {
    const root = reachableRoot()
    if (self !== 0) return console.log('only root works in the folder of somebody else')
    chownSync(root, user, user)
    if (!canReach(user, root)) return console.log('node or the folder for temporary files is closed to others')
    const folder = makeDeliverable(root).path
    const sub = join(root, 'projects')
    mkdirSync(sub)
    give(root, user)
    const as = (uid: number) => async (words: readonly string[]) => {
      const options = { cwd: '/', ...(uid === 0 ? {} : { uid }) }
      const ended = await lockstep(['--dir', root, '--actor', 'BECCA', ...words], options)
      is(ended.status, 0, `${words}: ${ended.stdout}${ended.stderr}`)
    }
    if (first === user) await as(user)(['init', root])
    await makeEverything(root, folder, async (...words) => {
      if (words[0] !== 'init' || first !== user) await as(0)(words)
    })
    const ofOthers = Object.keys(contentOf(root)).filter((name) => statOf(join(root, name)).uid !== user)
    equal(ofOthers, [])
    for (const words of [
      ['lock', 'acquire', 'a', '--holder', 'h'],
      ['lock', 'list'],
      ['verify', '--rebuild'],
    ])
      await as(user)(words)
    give(join(root, '.lockstep'), self)
    chownSync(root, self, self)
    await endsWithVerify(root)
  })
}

permissions.run()
ofRoot.run()
