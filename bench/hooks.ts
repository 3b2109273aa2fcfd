import { strictEqual } from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { commandPath } from './built.ts'
import { type Figure, latencies, median } from './figures.ts'
import { type BenchOptions, runAsProgram } from './program.ts'

const script = join(commandPath, '../hook.sh')

/** The hook before an edit of a file that the agent holds: each call is one durable append. */
async function run({ folder, smoke }: BenchOptions): Promise<Figure[]> {
  // A socket needs a short path, which the folder of a bench may not have.
  const root = join(folder, 'h')
  mkdirSync(root)
  strictEqual(spawnSync(process.execPath, [commandPath, 'init', '--no-operator-token'], { cwd: root }).status, 0)
  const service = spawn(process.execPath, [commandPath, 'serve'], { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] })
  const [line] = (await once(service.stderr.setEncoding('utf8'), 'data')) as [string]
  const socket = / at (\S+)/.exec(line)?.[1] ?? join(root, '.lockstep/service.sock')
  const documents = { route: documentFor('route', folder, root), script: documentFor('script', folder, root) }
  const work: Record<'node' | 'route' | 'script', () => void> = {
    node: () => succeeds(process.execPath, ['-e', '0'], root),
    route: () =>
      succeeds('curl', [...asked, '--unix-socket', socket, '--data-binary', `@${documents.route}`, url], root),
    script: () =>
      succeeds(
        '/bin/sh',
        ['-c', `/bin/sh '${script}' claude enforce PreToolUse /bin/false <'${documents.script}'`],
        root,
      ),
  }
  const millis: Record<keyof typeof work, number[]> = { node: [], route: [], script: [] }
  try {
    for (const one of Object.values(work)) one()
    // In turns, so that whatever else the machine does meets all three alike.
    const rounds = smoke ? 2 : 200
    for (let round = 0; round < rounds; round += 1) {
      for (const name of ['node', 'route', 'script'] as const) {
        const from = performance.now()
        work[name]()
        millis[name].push(performance.now() - from)
      }
    }
    for (const name of ['route', 'script']) {
      const { stdout } = spawnSync(process.execPath, [commandPath, 'lock', 'status', `path:src/${name}.js`, '--json'], {
        cwd: root,
        encoding: 'utf8',
      })
      strictEqual(JSON.parse(stdout).renewals, rounds, 'every call renewed the lock')
    }
  } finally {
    service.kill()
    await once(service, 'exit')
  }
  const [node, route, whole] = [median(millis.node), median(millis.route), median(millis.script)]
  return [
    { what: 'node, no program', value: node, unit: 'ms', ...latencies(millis.node) },
    { what: 'the route by curl', value: route, unit: 'ms', ...latencies(millis.route) },
    { what: 'the script of installed hooks', value: whole, unit: 'ms', ...latencies(millis.script) },
    { what: 'route ÷ node', value: route / node, unit: '×', bar: { kind: 'ratio', at_most: 0.5 } },
    { what: 'script ÷ node', value: whole / node, unit: '×', bar: { kind: 'ratio', at_most: 0.6 } },
  ]
}

const url = 'http://localhost/v1/hooks/claude'
const asked = ['-q', '--silent', '--fail', '-H', 'Content-Type: application/json']

/** The path of a document about an edit, of a session and a file of its own. */
function documentFor(name: string, folder: string, root: string): string {
  const path = join(folder, `${name}.json`)
  const document = {
    cwd: root,
    hook_event_name: 'PreToolUse',
    session_id: name,
    tool_input: { file_path: join(root, `src/${name}.js`), new_string: '2', old_string: '1' },
    tool_name: 'Edit',
    tool_use_id: 'bench',
  }
  writeFileSync(path, JSON.stringify(document))
  return path
}

/** Runs a program that prints nothing, as a hook does that lets an edit pass. */
function succeeds(program: string, words: string[], cwd: string): void {
  const { status, stdout } = spawnSync(program, words, { cwd, encoding: 'utf8' })
  strictEqual(status, 0)
  strictEqual(stdout, '')
}

await runAsProgram({
  name: 'hooks',
  asks: 'how long does an agent wait for the hook before an edit, by the route and by the script, beside a start of Node?',
  run,
})
