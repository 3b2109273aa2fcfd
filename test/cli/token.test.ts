import { existsSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { withServiceProcess } from '../client/service-process.ts'
import { configHome, type Ended, lockstep } from '../support/command.ts'
import { contentOf } from '../support/deliverable.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'

const token = suite('lockstep token')
const agent = ['--actor', 'agent-7', '--type', 'agent', '--grant', 'agent']

async function newRoot(): Promise<string> {
  const root = temporaryRoot()
  is((await lockstep(['init', root, '--no-operator-token'])).status, 0)
  return root
}

const inRoot = (root: string, env: Record<string, string> = {}) => {
  return (...words: string[]) => lockstep(['--dir', root, 'token', ...words], { env })
}

async function authenticated(root: string, secret: string) {
  const ledger = await openLedger({ dir: root })
  const found = await ledger.authenticate(secret)
  await ledger.close()
  return found
}

/** The content of all files of a root, the database's too. */
function bytesOf(root: string): string {
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' }).map((name) => join(root, name))
  return paths
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, 'latin1'))
    .join('\n')
}

token('create prints the secret once; list and revoke never do', async () => {
  const root = await newRoot()
  const run = inRoot(root)
  const more = ['--role', 'B', '--role', 'A', '--grant', 'operator', '--expires', '30d', '--key', 'once']
  const made = await run('create', ...agent, ...more)
  is(made.status, 0, made.stdout)
  const { secret, token_id, ...facts } = made.json as { secret: string; token_id: string }
  match(secret, /^lst_[A-Za-z0-9_-]{43}$/)
  const { created, expires_at, seq: _, ...rest } = facts as Record<string, unknown>
  is(Date.parse(String(expires_at)) - Date.parse(String(created)), 30 * 86_400_000)
  const actor = { actor_id: 'agent-7', actor_type: 'agent' }
  equal(rest, { actor, grants: ['agent', 'operator'], replayed: false, roles: ['A', 'B'] })
  const found = await authenticated(root, secret)
  equal(found, { actor, grants: new Set(['agent', 'operator']), roles: new Set(['A', 'B']), token_id })

  const after: Ended[] = [await run('create', ...agent, ...more), await run('list'), await run('list', '--jsonl')]
  after.push(await run('revoke', token_id, '--reason', 'lost'), await run('revoke', token_id), await run('list'))
  after.push(await lockstep(['--dir', root, 'audit', 'list']))
  equal(
    after.map(({ status }) => status),
    after.map(() => 0),
  )
  equal([after[0]?.json.secret, after[0]?.json.replayed, after[0]?.json.token_id], [null, true, token_id])
  equal([after[3]?.json.replayed, after[4]?.json.replayed], [false, true])
  is(await authenticated(root, secret), undefined)
  for (const { stderr, stdout, words } of after) ok(!`${stdout}${stderr}`.includes(secret.slice(4)), words.join(' '))
  ok(!bytesOf(root).includes(secret.slice(4)))
  await endsWithVerify(root)
})

token('create takes --actor as the actor of the token; the caller comes from the environment', async () => {
  const root = await newRoot()
  const byAgent = await inRoot(root, { LOCKSTEP_ACTOR: 'agent-7' })('create', ...agent)
  equal([byAgent.status, byAgent.json.code], [4, 'TOKEN_DENIED'])
  const byBecca = await inRoot(root, { LOCKSTEP_ACTOR: 'human:BECCA' })('create', ...agent)
  is(byBecca.status, 0, byBecca.stdout)
  const entry = await lockstep(['--dir', root, 'audit', 'list', '--entries', '--type', 'token.created'])
  match(entry.stdout, /"actor":\{"actor_id":"BECCA","actor_type":"human","authn":"os:[^"]+"\}/)
  await endsWithVerify(root)
})

token('prints names from outside as one line, and refuses what is no name', async () => {
  const root = await newRoot()
  const run = inRoot(root)
  for (const name of ['a\u001b[2Jb', 'two\nlines', '', ' a', '\u2028', 'x'.repeat(500)]) {
    const refused = await run('create', '--actor', name, '--type', 'agent', '--grant', 'agent')
    equal([refused.status, refused.json.code], [2, 'INVALID_INPUT'], JSON.stringify(name))
  }
  const hostile = ['__proto__', 'right-to-left\u202e', '$(id)', '-'.repeat(120)]
  for (const name of hostile) {
    const made = await run('create', `--actor=${name}`, '--type', 'agent', '--grant', 'agent', `--role=${name}`)
    is(made.status, 0, made.stdout)
  }
  const { stdout } = await lockstep(['--dir', root, 'token', 'list'], { isForPeople: true })
  is(stdout.trimEnd().split('\n').length, 1 + hostile.length, stdout)
  ok(!stdout.includes('\u202e'))
  for (const id of ['tok_', '../token', `tok_${'0'.repeat(24)}\n`, 'constructor']) {
    equal((await run('revoke', id)).json.code, 'INVALID_INPUT', JSON.stringify(id))
  }
  is((await run('revoke', `tok_${'0'.repeat(24)}`)).status, 3)
  await endsWithVerify(root)
})

token('init writes a token of the operator, for its owner alone and outside the root', async () => {
  const root = temporaryRoot()
  const { json, status, stderr, stdout } = await lockstep(['init', root])
  is(status, 0, stdout)
  is(stderr, '')
  const file = String(json.operator_token)
  ok(file.startsWith(join(configHome, 'lockstep/tokens/')), file)
  for (const folder of ['lockstep', 'lockstep/tokens']) is(statSync(join(configHome, folder)).mode & 0o777, 0o700)
  is(statSync(file).mode & 0o777, 0o600)
  const text = readFileSync(file, 'utf8')
  match(text, /^lst_[A-Za-z0-9_-]{43}\n$/)
  ok(!`${stdout}${bytesOf(root)}`.includes(text.trim().slice(4)))
  const found = await authenticated(root, text.trim())
  equal([found?.actor.actor_type, [...(found?.grants ?? [])]], ['human', ['operator']])

  const again = await lockstep(['init', root])
  equal([again.status, again.json.code], [5, 'LEDGER_EXISTS'])
  is(readFileSync(file, 'utf8'), text, 'a refused init leaves the token alone')
  await endsWithVerify(root)
})

token(
  '--operator calls the service with that token; another token comes from the environment',
  withServiceProcess(async ({ root, start }) => {
    rmSync(join(root, '.lockstep'), { recursive: true })
    is((await lockstep(['init', root])).status, 0)
    await start()
    equal((await inRoot(root)('list')).json.code, 'FORBIDDEN')
    const made = await inRoot(root)('create', '--operator', ...agent)
    is(made.status, 0, made.stdout)
    const { secret, token_id } = made.json as { secret: string; token_id: string }
    const bearer = { env: { LOCKSTEP_BEARER_TOKEN: secret } }
    const acquired = await lockstep(['--dir', root, 'lock', 'acquire', 'a', '--holder', 'h'], bearer)
    is(acquired.status, 0, acquired.stdout)
    const entries = await lockstep(['--dir', root, 'audit', 'list', '--entries', '--type', 'lock.acquired'])
    match(entries.stdout, /"actor":\{"actor_id":"agent-7","actor_type":"agent","authn":"token:tok_[0-9a-f]+"\}/)
    const other = ['--dir', root, '--actor', 'agent-8', 'lock', 'acquire', 'b', '--holder', 'h']
    const foreign = (await lockstep(other, bearer)).json as { code: string; hint: string }
    equal([foreign.code, foreign.hint], ['FORBIDDEN', 'Leave the actor out: it is the actor of the token.'])
    is((await inRoot(root)('revoke', '--operator', token_id)).status, 0)
    const refused = (await lockstep(['--dir', root, 'head'], bearer)).json as { code: string; hint: string }
    equal(refused.code, 'UNAUTHENTICATED')
    match(refused.hint, /LOCKSTEP_BEARER_TOKEN/, 'a command has no headers')
  }),
)

token('a token in the environment is refused where no service can check it', async () => {
  const root = await newRoot()
  const bearer = { env: { LOCKSTEP_BEARER_TOKEN: 'lst_unknown' } }
  const ended = await lockstep(['--dir', root, 'lock', 'acquire', 'a', '--holder', 'h'], bearer)
  equal([ended.status, ended.json.code, ended.json.outcome], [7, 'LEDGER_UNAVAILABLE', 'not_applied'])
  is((await lockstep(['--dir', root, 'lock', 'list'], bearer)).status, 7)
  equal((await lockstep(['--dir', root, 'lock', 'list'])).json.locks, [])
  await endsWithVerify(root)
})

token('init --no-operator-token writes none', async () => {
  const root = await newRoot()
  equal((await inRoot(root)('list')).json, { next: null, tokens: [] })
  await endsWithVerify(root)
})

for (const [what, environmentIn] of [
  ['the home is missing', (root: string) => ({ HOME: join(root, '../missing'), XDG_CONFIG_HOME: '' })],
  ['the home is no absolute path', () => ({ HOME: 'home', XDG_CONFIG_HOME: 'relative' })],
  ['a file is in the place of its folder', () => ({ XDG_CONFIG_HOME: fileIn(temporaryRoot()) })],
  ['its folder is inside the root', (root: string) => ({ XDG_CONFIG_HOME: join(root, 'config') })],
  ['a link leads its folder into the root', (root: string) => ({ XDG_CONFIG_HOME: linkTo(root) })],
] as const) {
  token(`init warns and goes on without an operator token if ${what}`, async () => {
    const root = join(temporaryRoot(), 'root')
    const { json, status, stderr, stdout } = await lockstep(['init', root], {
      cwd: temporaryRoot(),
      env: environmentIn(root),
    })
    is(status, 0, stdout)
    is(json.operator_token, null)
    match(stderr, /^warning: no operator token was written: .+\n/)
    equal(
      [...new Set(Object.keys(contentOf(root)).map((name) => name.split('/')[0]))],
      ['.lockstep'],
      'nothing else is written to the root',
    )
    ok(!existsSync(join(root, '../missing')))
    equal((await inRoot(root)('list')).json, { next: null, tokens: [] })
    await endsWithVerify(root)
  })
}

function fileIn(folder: string): string {
  const path = join(folder, 'file')
  writeFileSync(path, '')
  return path
}

function linkTo(folder: string): string {
  const path = join(temporaryRoot(), 'link')
  symlinkSync(folder, path)
  return path
}

token.run()
