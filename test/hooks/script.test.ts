import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createRaw, type Server } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import { mediaTypes } from '../../src/api/wire.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import { socketToListenAt } from '../../src/disk/service-socket.ts'
import { harnessNames, written } from '../../src/hooks/forms.ts'
import { dist, lockstep, stopService } from '../support/command.ts'
import { reachableRoot, temporaryRoot } from '../support/ledger.ts'
import { distFor } from '../support/other-user.ts'
import { hookDocument, hookDocuments } from './hook-documents.ts'
import { reasonIn, withHooks } from './hooked.ts'
import { hook, type Printed } from './script.ts'

const sentence = (why: string) =>
  `Lockstep guards this folder, but ${why}. So no tool may run here. Tell the user to run: lockstep doctor`
const note = (why: string) =>
  `Lockstep guards this folder, but ${why}. This goes on unguarded and unrecorded. See: lockstep doctor`
const away = 'its service does not run and could not be started'
const slow = 'its service does not answer in time'
const invalid = 'its service gives no valid answer'

const script = suite('the script of installed hooks')

script('prints what the route answers, for every document of every harness', () =>
  withHooks(async (hooked) => {
    const { call, dir, ledger } = hooked
    const actor = { actor_id: 'x', actor_type: 'agent' } as const
    await ledger.locks.acquire({ actor, holder: 'x', paths: ['src/a.js'] })
    for (const harness of harnessNames) {
      for (const name of hookDocuments(harness)) {
        const { code, stderr, stdout } = await hook(harness, hookDocument(harness, name, dir), { cwd: dir })
        is(code, 0)
        is(stderr, '')
        const answer = await call(harness, name)
        const blanked = (text: string) => text.replaceAll(/\d+ s left/g, 'N s left')
        equal(blanked(stdout), answer === undefined ? '' : `${blanked(JSON.stringify(answer))}\n`, `${harness} ${name}`)
      }
    }
  }),
)

script('finds the ledger from a folder below, and works by other shells', () =>
  withHooks(async ({ dir, ledger }) => {
    const actor = { actor_id: 'x', actor_type: 'agent' } as const
    await ledger.locks.acquire({ actor, holder: 'x', paths: ['src/a.js'] })
    const document = hookDocument('claude', 'before-edit', dir)
    for (const shell of ['/bin/sh', '/bin/bash']) {
      const { stdout } = await hook('claude', document, { cwd: join(dir, 'src'), shell })
      match(reasonIn(JSON.parse(stdout)), /holder "x"/)
    }
    const { stdout } = await hook('claude', document, { cwd: '/', env: { LOCKSTEP_DIR: dir } })
    match(reasonIn(JSON.parse(stdout)), /holder "x"/)
  }),
)

script('records the harness as the process of a lock, through the shell that called it', () =>
  withHooks(async ({ dir, ledger }) => {
    await hook('claude', hookDocument('claude', 'before-edit', dir), { cwd: dir })
    equal((await ledger.locks.status({ name: 'path:src/a.js' })).pids, [process.pid])
  }),
)

script('passes on who calls, in UTF-8, and no secret in its arguments', () =>
  withHooks(async ({ dir, ledger }) => {
    const document = hookDocument('claude', 'before-edit', dir)
    const env = { LOCKSTEP_ACTOR: 'human:Zoë', LOCKSTEP_ON_BEHALF_OF: 'Team Ä' }
    is((await hook('claude', document, { cwd: dir, env })).stdout, '')
    const [entry] = (await ledger.locks.history({ name: 'path:src/a.js' })).entries
    is(entry?.actor.actor_id, 'Zoë')
    is(entry?.actor.on_behalf_of, 'Team Ä')
    for (const name of ['a"b', 'a\\b', 'a\nHost: x']) {
      const { stdout } = await hook('claude', document, { cwd: dir, env: { LOCKSTEP_ACTOR: name } })
      is(reasonIn(JSON.parse(stdout)), sentence(invalid))
    }
    const wrong = await hook('claude', document, { cwd: dir, env: { LOCKSTEP_BEARER_TOKEN: 'wrong' } })
    is(reasonIn(JSON.parse(wrong.stdout)), sentence(invalid))
  }),
)

script('says nothing where no ledger is above the folder', async () => {
  const dir = temporaryRoot()
  for (const mode of ['enforce', 'warn'] as const) {
    equal(await hook('claude', hookDocument('claude', 'before-edit', dir), { cwd: dir, mode }), quiet)
  }
  // A submodule, or a worktree of a repository without a ledger.
  writeFileSync(join(dir, '.git'), 'gitdir: ../somewhere\n')
  equal(await hook('claude', hookDocument('claude', 'before-edit', dir), { cwd: dir }), quiet)
})
const quiet: Printed = { code: 0, stderr: '', stdout: '' }

script('finds the ledger of the main worktree from a linked one', () =>
  withHooks(async ({ dir, ledger }) => {
    const git = (...words: string[]) => {
      const as = ['-c', 'user.name=Dev', '-c', 'user.email=dev@example.org', '-c', 'commit.gpgsign=false']
      execFileSync('git', [...as, ...words], { cwd: dir, stdio: 'ignore' })
    }
    const linked = join(temporaryRoot(), 'a worktree')
    git('init', '--quiet')
    git('commit', '--quiet', '--allow-empty', '-m', 'one')
    git('worktree', 'add', '--quiet', '-b', 'side', linked)
    mkdirSync(join(linked, 'src'))
    const actor = { actor_id: 'x', actor_type: 'agent' } as const
    await ledger.locks.acquire({ actor, holder: 'x', paths: ['src/a.js'] })
    const { stdout } = await hook('claude', hookDocument('claude', 'before-edit', linked), { cwd: join(linked, 'src') })
    match(reasonIn(JSON.parse(stdout)), /holder "x"/)
  }),
)

const unanswered = suite('hooks without a valid answer')

/** A ledger without a service. */
async function emptyLedger(): Promise<string> {
  const dir = temporaryRoot()
  const { status, stderr } = await lockstep(['init', '--no-operator-token'], { cwd: dir })
  is(status, 0, stderr)
  return dir
}

/** What every harness is told before an edit and after one. */
async function demand(dir: string, why: string, node?: string): Promise<void> {
  for (const harness of harnessNames) {
    for (const name of ['before-edit', 'after-edit'] as const) {
      const document = hookDocument(harness, name, dir)
      const event = String(document.hook_event_name)
      for (const mode of ['enforce', 'warn'] as const) {
        const { code, stderr, stdout } = await hook(harness, document, { cwd: dir, mode, ...(node ? { node } : {}) })
        const isDenied = mode === 'enforce' && name === 'before-edit'
        const reply = isDenied
          ? { kind: 'deny' as const, text: sentence(why) }
          : { kind: 'note' as const, text: note(why) }
        const form = written(harness, event, reply)
        const expected =
          form === undefined
            ? { stderr: `${note(why)}\n`, stdout: '' }
            : { stderr: '', stdout: `${JSON.stringify(form)}\n` }
        equal({ code, stderr, stdout }, { code: 0, ...expected }, `${harness} ${name} ${mode}`)
      }
    }
  }
}

unanswered('are denied or noted in the form of each harness while the service is away', async () => {
  const dir = await emptyLedger()
  await demand(dir, away, '/no/node')
  // What a killed service leaves.
  writeFileSync(layoutOf(dir).socket, '')
  await demand(dir, away, '/no/node')
})

unanswered('are denied or noted if the answer is nonsense', async () => {
  const dir = await emptyLedger()
  const ours = { 'content-type': mediaTypes.hook }
  const answers: ((server: Server) => void)[] = [
    (server) => server.on('request', (_, answer) => answer.writeHead(200, ours).end('text')),
    (server) => server.on('request', (_, answer) => answer.writeHead(200, { 'content-type': 'text/html' }).end('{}')),
    (server) => server.on('request', (_, answer) => answer.writeHead(500, ours).end('{}')),
    (server) => server.on('request', (_, answer) => answer.writeHead(200, ours).end('{"cut')),
  ]
  const path = socketToListenAt(layoutOf(dir))
  for (const [at, set] of answers.entries()) {
    const server = createServer()
    set(server)
    await new Promise<void>((resolve) => server.listen(path, resolve))
    try {
      if (at === 0) await demand(dir, invalid)
      else {
        const { stdout } = await hook('claude', hookDocument('claude', 'before-edit', dir), { cwd: dir })
        is(reasonIn(JSON.parse(stdout)), sentence(invalid))
      }
    } finally {
      server.close()
      server.closeAllConnections()
      rmSync(path, { force: true })
    }
  }
})

unanswered('are denied or noted if the answer is slow or not HTTP', async () => {
  const dir = await emptyLedger()
  const path = socketToListenAt(layoutOf(dir))
  const sockets = new Set<{ destroy: () => void }>()
  for (const [bytes, why] of [
    ['', slow],
    ['\0nonsense\r\n', invalid],
  ] as const) {
    const server = createRaw((socket) => {
      sockets.add(socket.on('error', () => {}))
      if (bytes !== '') socket.end(bytes)
    })
    await new Promise<void>((resolve) => server.listen(path, resolve))
    try {
      const document = hookDocument('claude', 'before-edit', dir)
      const [enforced, warned] = await Promise.all([
        hook('claude', document, { cwd: dir }),
        hook('claude', document, { cwd: dir, mode: 'warn' }),
      ])
      is(reasonIn(JSON.parse(enforced?.stdout ?? '')), sentence(why))
      equal(JSON.parse(warned?.stdout ?? ''), { systemMessage: note(why) })
    } finally {
      for (const socket of sockets) socket.destroy()
      server.close()
      rmSync(path, { force: true })
    }
  }
})

unanswered('are denied if the ledger belongs to another user', async () => {
  // Only root can be two users.
  if (process.getuid?.() !== 0) return
  const uid = 65_534
  const dir = reachableRoot()
  chmodSync(dir, 0o755)
  mkdirSync(join(dir, '.lockstep'))
  const document = hookDocument('claude', 'before-edit', dir)
  for (const command of [undefined, `'${process.execPath}' '${join(distFor(uid, dist), 'cli/main.js')}' hook claude`]) {
    const { stdout } = await hook('claude', document, { command, cwd: dir, uid })
    is(reasonIn(JSON.parse(stdout)), sentence('its folder belongs to another user'))
  }
})

unanswered('start the service once, and go on with it', async () => {
  const dir = await emptyLedger()
  mkdirSync(join(dir, 'src'))
  const first = await hook('claude', hookDocument('claude', 'before-edit', dir), { cwd: dir })
  equal(first, quiet)
  const second = { ...hookDocument('claude', 'before-edit', dir), session_id: 'another' }
  match(reasonIn(JSON.parse((await hook('claude', second, { cwd: dir })).stdout)), /holder "claude:5f3c1d2e/)
  await stopService(dir)
})

unanswered('are served by Node where curl is missing', async () => {
  const dir = await emptyLedger()
  mkdirSync(join(dir, 'src'))
  const bin = temporaryRoot()
  for (const name of ['sh', 'cat', 'ls']) {
    const path = execFileSync('/bin/sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim()
    execFileSync('ln', ['-s', path, join(bin, name)])
  }
  const env = { PATH: bin }
  equal(await hook('claude', hookDocument('claude', 'before-edit', dir), { cwd: dir, env }), quiet)
  const second = { ...hookDocument('claude', 'before-edit', dir), session_id: 'another' }
  match(reasonIn(JSON.parse((await hook('claude', second, { cwd: dir, env })).stdout)), /holder "claude:5f3c1d2e/)
  await stopService(dir)
})

script.run()
unanswered.run()
