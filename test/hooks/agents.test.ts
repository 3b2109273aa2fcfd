// limit: 240
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import type { Entry } from '../../src/kernel/entry.ts'
import { root } from '../runner.ts'
import { lockstep } from '../support/command.ts'
import { until } from '../support/service.ts'
import { hookDocument } from './hook-documents.ts'
import { type Hooked, withHooks } from './hooked.ts'
import { hook } from './script.ts'

/** The edits of each agent; a long run makes 500 over 40 files. */
const edits = Number(process.env.LOCKSTEP_ROUNDS ?? 12)
const files = edits >= 100 ? 40 : 8
const millisMax = 60_000 + edits * 4_000

interface Line {
  answer?: string
  asks?: string
  denied?: string
  edited?: string
  ended?: true
  file?: string
}

const agents = suite('two agents that edit the same files')

/** Starts an agent, which runs as long as the result is not awaited or killed. */
function started({ dir }: Hooked, session: string, seed: number) {
  const words = [join(root, 'test/hooks/scripted-agent.mjs'), session, dir, String(edits), String(files), String(seed)]
  const child = spawn(process.execPath, words, { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const ended = once(child, 'close').then(() => stderr)
  const log = (): Line[] => {
    const path = join(dir, `${session}.log`)
    const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : []
    return lines.map((line) => JSON.parse(line) as Line)
  }
  return { child, ended, log }
}

async function entriesOf({ ledger }: Hooked): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const entry of ledger.log.read({})) entries.push(entry)
  return entries
}

/** Checks by the ledger that whoever edited a file held it then, and returns the keys of all recorded calls. */
function checkedCalls(entries: readonly Entry[], fileOf: (id: string) => string | undefined): string[] {
  const holders = new Map<string, string>()
  const keys: string[] = []
  for (const { actor, data, request, type } of entries) {
    // The end of a lock of one path names it alone.
    const { name = '', paths = [name.replace(/^path:/, '')] } = data as { name?: string; paths?: string[] }
    if (type === 'lock.acquired') {
      for (const path of paths) {
        ok(!holders.has(path), `${path} is granted while ${holders.get(path)} holds it`)
        holders.set(path, actor.actor_id)
      }
    }
    if (['lock.released', 'lock.recovered', 'lock.broken'].includes(type))
      for (const path of paths) holders.delete(path)
    if (type !== 'audit.recorded') continue
    const id = request?.key.split(':')[1] ?? ''
    keys.push(id)
    if (data.outcome === 'success') is(holders.get(fileOf(id) ?? ''), actor.actor_id, id)
  }
  return keys
}

agents('never edit what the other holds, are recorded once a call, and inherit from a dead one', () =>
  withHooks(async (hooked) => {
    const { dir, ledger } = hooked
    mkdirSync(join(dir, '.git'))
    for (let at = 0; at < files; at += 1) writeFileSync(join(dir, `src/${at}.txt`), 'new')
    is((await lockstep(['hook', 'claude', '--install'], { cwd: dir })).status, 0)
    const [one, two] = [started(hooked, 'one', 7), started(hooked, 'two', 11)]
    await until(
      'the first agent is in the middle',
      () => one.log().length >= edits || one.child.exitCode !== null,
      millisMax,
    )
    one.child.kill('SIGKILL')
    is(await one.ended, '')
    is(await two.ended, '')
    is(two.child.exitCode, 0)
    is(two.log().at(-1)?.ended, true)
    for (const { answer } of two.log()) if (answer !== undefined) match(answer, /holder \\"claude:one\\"/)

    const lines = [...one.log(), ...two.log()]
    const fileOf = (id: string) => lines.find(({ asks }) => asks === id)?.file
    const keys = checkedCalls(await entriesOf(hooked), fileOf)
    is(new Set(keys).size, keys.length, 'no call is recorded twice')
    const told = lines.flatMap(({ denied, edited }) => denied ?? edited ?? [])
    const lost = keys.filter((key) => !told.includes(key))
    // The call that the first agent was killed in may be recorded or not.
    equal(
      told.filter((id) => !keys.includes(id)),
      [],
    )
    ok(
      lost.length <= 1 && lost.every((id) => id === one.log().findLast(({ asks }) => asks !== undefined)?.asks),
      lost.join(),
    )
    equal(
      (await ledger.locks.list({})).locks.filter(({ actor_id }) => actor_id === 'claude:two'),
      [],
    )
    for (let at = 0; at < files; at += 1) {
      const more = { session_id: 'three', tool_input: { file_path: `src/${at}.txt` }, tool_use_id: `three-${at}` }
      const document = { ...hookDocument('claude', 'before-edit', dir), ...more }
      is((await hook('claude', document, { cwd: dir })).stdout, '', `src/${at}.txt`)
    }
  }),
)

agents.run()
