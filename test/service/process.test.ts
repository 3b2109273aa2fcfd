import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { linkSync, mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { paths } from '../../src/api/wire.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import { socketOf } from '../../src/disk/service-socket.ts'
import { openLedger } from '../../src/open.ts'
import { root as project } from '../runner.ts'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { ask, keepAlive, post, problemIn, until } from '../support/service.ts'

const processes = suite('lockstep serve')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 2)
const main = join(process.env.LOCKSTEP_TEST_DIST ?? join(project, 'dist'), 'cli/main.js')

async function newLedger(folder = 'a folder'): Promise<string> {
  const dir = join(temporaryRoot(), folder)
  mkdirSync(dir)
  await (await openLedger({ actor: testActor, create: true, dir, policy: false })).close()
  return dir
}

interface Served {
  child: ChildProcess
  socket: string
  stderr: () => string
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

/** Starts `lockstep serve`, and resolves once it answers. */
async function served(dir: string, words: readonly string[] = [], wrapper: readonly string[] = []): Promise<Served> {
  const argv = [...wrapper, process.execPath, main, '--dir', dir, 'serve', ...words]
  const child = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] })
  let stderr = ''
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const ended = once(child, 'exit').then(([code, signal]) => ({ code, signal }))
  await until('the service says where it is', () => /^lockstep serves .*$/m.test(stderr) || child.exitCode !== null)
  const socket = socketOf(layoutOf(dir))
  if (socket === undefined || child.exitCode !== null) throw new Error(stderr)
  return { child, socket, stderr: () => stderr, ended }
}

const append = { events: [{ action_type: 'system', outcome: 'success' }] }

/** Appends from many callers until the service is gone. Returns the keys of the requests that were answered. */
function load(socket: string, callers: number): { answered: Set<string>; ended: Promise<unknown> } {
  const answered = new Set<string>()
  const agent = keepAlive(callers)
  const caller = async (name: number) => {
    for (let at = 0; ; at += 1) {
      const key = `request-${name}-${at}`
      const input = { ...append, correlation_id: key, idempotency_key: key }
      const answer = await post(socket, '/v1/audit/append', input, { agent }).catch(() => undefined)
      if (answer?.status !== 200) {
        if (answer !== undefined) equal(problemIn(answer).details.outcome, 'not_applied')
        return
      }
      answered.add(key)
    }
  }
  return { answered, ended: Promise.all(Array.from({ length: callers }, (_, name) => caller(name))) }
}

async function keysInLog(dir: string): Promise<string[]> {
  const ledger = await openLedger({ actor: testActor, dir })
  const keys: string[] = []
  for await (const { correlation_id } of ledger.log.read({ from: 1 })) keys.push(String(correlation_id))
  await ledger.close()
  return keys
}

processes('that gets SIGTERM under load answers what it accepted, and exits 0 within 5 s', async () => {
  for (let round = 0; round < rounds; round += 1) {
    const dir = await newLedger()
    const { child, ended, socket, stderr } = await served(dir)
    const { answered, ended: callersEnded } = load(socket, 16)
    await until('many requests are answered', () => answered.size > 100)
    const started = performance.now()
    child.kill('SIGTERM')
    equal(await ended, { code: 0, signal: null }, stderr())
    ok(performance.now() - started < 5_000, `${performance.now() - started} ms`)
    await callersEnded
    const keys = await keysInLog(dir)
    is(new Set(keys).size, keys.length)
    for (const key of answered) ok(keys.includes(key), key)
    await endsWithVerify(dir)
  }
})

processes('that is killed under load has every answered command in its log, and its socket is replaced', async () => {
  const dir = await newLedger()
  for (let round = 0; round < rounds; round += 1) {
    const { child, ended, socket } = await served(dir)
    const { answered, ended: callersEnded } = load(socket, 16)
    await until('many requests are answered', () => answered.size > 50)
    child.kill('SIGKILL')
    await ended
    await callersEnded
    const keys = new Set(await keysInLog(dir))
    for (const key of answered) ok(keys.has(key), key)
  }
  await endsWithVerify(dir)
})

processes('is the only one of its ledger: others are refused at once, with its name', async () => {
  const dir = await newLedger()
  const { child, ended, stderr } = await served(dir)
  match(stderr(), /^lockstep serves .* at .*$/m)
  const second = await lockstep(['--dir', dir, 'serve'])
  equal([second.status, second.json.code, second.json.owner_pid], [7, 'LEDGER_SERVED', child.pid])
  is(second.json.owner_command, 'lockstep serve')
  const error = await openLedger({ actor: testActor, dir }).catch((thrown) => thrown)
  is(error.code, 'LEDGER_SERVED')
  match(error.hint, /connect\(\)/)
  child.kill('SIGINT')
  equal(await ended, { code: 0, signal: null })
  await endsWithVerify(dir)
})

processes('waits for a process that has the ledger, then says who it is', async () => {
  const dir = await newLedger()
  const ledger = await openLedger({ actor: testActor, command: 'a library', dir })
  const { json, status } = await lockstep(['--dir', dir, '--open-wait', '1', 'serve'])
  equal([status, json.code, json.owner_command], [7, 'LEDGER_UNAVAILABLE', 'a library'])
  await ledger.close()
  await endsWithVerify(dir)
})

processes('ends when nobody called for a while', async () => {
  const dir = await newLedger()
  const { ended, socket } = await served(dir, ['--idle-exit', '1'])
  is((await ask(socket, paths.live)).status, 200)
  equal(await ended, { code: 0, signal: null })
  await endsWithVerify(dir)
})

processes('refuses options that do not fit before it opens anything', async () => {
  const dir = await newLedger()
  for (const words of [
    ['--insecure'],
    ['--listen', 'nowhere'],
    ['--listen', '127.0.0.1:99999'],
    ['--listen', '127.0.0.1:0', '--tls-cert', 'x'],
    ['--listen', '127.0.0.1:0', '--tls-client-ca', 'x'],
    ['--listen', '0.0.0.0:0'],
  ]) {
    const { json, status } = await lockstep(['--dir', dir, 'serve', ...words])
    equal([status, json.code], [2, 'INVALID_INPUT'], words.join(' '))
  }
  await endsWithVerify(dir)
})

processes('listens on the socket that systemd opened for it', async () => {
  const dir = await newLedger()
  const path = join(temporaryRoot(), 's')
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(path, resolve))
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle
  const script = `LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"`
  const argv = ['-c', script, 'sh', process.execPath, main, '--dir', dir, 'serve']
  const child = spawn('sh', argv, { stdio: ['ignore', 'pipe', 'pipe', fd] })
  let stderr = ''
  child.stderr?.on('data', (chunk) => {
    stderr += chunk
  })
  const ended = once(child, 'exit')
  try {
    await until('the service runs', () => /^lockstep serves/m.test(stderr) || child.exitCode !== null)
    ok(stderr.includes(`at ${path}\n`), stderr)
    // This process would take connections too. Closing its end removes the name, so another one is kept.
    linkSync(path, `${path}2`)
    server.close()
    is((await ask(`${path}2`, paths.live)).status, 200)
  } finally {
    child.kill('SIGTERM')
  }
  equal(await ended, [0, null], stderr)
  await endsWithVerify(dir)
})

processes.run()
