// limit: 120
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { suite } from 'uvu'
import { equal, ok } from 'uvu/assert'
import type { Answer, Question } from '../../fixtures/hostile/reader.ts'
import { bundleFiles } from '../../src/domain/export/manifest.ts'
import { codes } from '../../src/errors.ts'
import { openLedger } from '../../src/open.ts'
import { compiled } from '../support/compiled.ts'
import { foreignText, makeDeliverable } from '../support/deliverable.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { stageStem } from '../support/staging.ts'
import { startRuns } from '../support/turns.ts'

// Each file that Lockstep reads and somebody else may have made, in every odd shape: a refusal with a code, in bounded
// time and memory, and nothing has changed. All in one process that must outlive it.

/** `LOCKSTEP_ROUNDS=1000` meets every file in every shape; by default each file meets a few of them. */
const shapesEach = Number(process.env.LOCKSTEP_ROUNDS ?? 2)
const cpuMillisMax = 2_000
const rssMegabytesMax = 300
/** A reader that says nothing for so long hangs, however loaded the machine is. */
const silentMillisMax = 60_000
const isRoot = process.geteuid?.() === 0

/** Where the file of a ledger is, while something else stands in its place. */
const good = join(temporaryRoot(), 'good')

const shapes: Record<string, (path: string) => void> = {
  'a named pipe': (path) => execFileSync('mkfifo', [path]),
  'a folder': (path) => mkdirSync(path, { mode: 0o700 }),
  'a symbolic link': (path) => symlinkSync(good, path),
  'a link to /dev/zero': (path) => symlinkSync('/dev/zero', path),
  '5 GB of nothing': (path) => {
    writeFileSync(path, '', { mode: 0o600 })
    truncateSync(path, 5 * 1024 ** 3)
  },
  '1,000 levels of JSON': (path) => writeFileSync(path, nested(1_000), { mode: 0o600 }),
  '50,000 levels of JSON': (path) => writeFileSync(path, nested(50_000), { mode: 0o600 }),
  '50,000 levels of YAML': (path) => writeFileSync(path, '- '.repeat(50_000), { mode: 0o600 }),
  'a file of another user': (path) => {
    copyFileSync(good, path)
    if (isRoot) chownSync(path, 54_321, 54_321)
  },
  'a file that everybody may write': (path) => {
    copyFileSync(good, path)
    chmodSync(path, 0o777)
  },
}

const nested = (depth: number) => `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`

interface Place {
  path: (root: string) => string
  reads: Question['reads']
  /** Shapes that this file is not met in. */
  never?: readonly string[]
  /** What a shape comes to, where it is not refused: a hint, or a file that anybody may have made. */
  read?: readonly string[]
}

const owners = ['a file of another user', 'a file that everybody may write']
const all = Object.keys(shapes)
const levels = all.filter((shape) => shape.includes('levels'))
/** The bytes of the database are for its own checks, and its modes follow the umask: its folder keeps others out. */
const ofContent = [...levels, 'a file that everybody may write']
const home = (name: string) => (root: string) => join(root, '.lockstep', name)
const below = (name: string) => (root: string) => join(root, name)

const places: Record<string, Place> = {
  // What is in force comes from the ledger.
  'config.json': { path: home('config.json'), reads: 'open', read: all },
  'config.json at a reload': { path: home('config.json'), reads: 'config' },
  'the head file': { path: home('head'), reads: 'open', read: owners },
  'the owner file': { path: home('owner'), reads: 'open', read: all },
  'the key': { path: home('key'), reads: 'sign' },
  'lanes.yaml of the ledger': { path: home('policy/lanes.yaml'), reads: 'policy' },
  'roles.yaml of the ledger': { path: home('policy/roles.yaml'), reads: 'policy' },
  'a note of a claim': { path: home('claims/0123456789abcdef'), reads: 'open', read: all },
  CURRENT: { path: home('ledger/CURRENT'), reads: 'open', never: ofContent },
  'the manifest of the database': {
    path: (root) => databaseFile(root, /^MANIFEST-/),
    reads: 'open',
    never: ofContent,
  },
  'the log of the database': { path: (root) => databaseFile(root, /\.log$/), reads: 'open', never: ofContent },
  'a lock file': { path: below('DEL-08-05_Lock/.lock'), reads: 'deliverable', read: [] },
  'a RUN_LOCK.json': { path: below('runtime/runs/run_other/RUN_LOCK.json'), reads: 'project', read: [] },
  'a staged file': { path: below('staged/a.body.json'), reads: 'staging', read: owners },
  'a file of a workspace': {
    path: below('workspace/run/run_reads_1/current/a.body.json'),
    reads: 'workspace',
    read: owners,
  },
  'a bundle': { path: below('bundle.tar.gz'), reads: 'bundle' },
  'the manifest of an unpacked bundle': { path: below('bundle/manifest.json'), reads: 'bundleFolder' },
  'the entries of an unpacked bundle': { path: below('bundle/entries.jsonl'), reads: 'bundleFolder' },
  'a file that the command is given': {
    path: below('input.json'),
    reads: 'input',
    read: ['a symbolic link', ...owners, ...levels],
  },
}

/** What of the database every open changes, and a folder's times when something is looked at in it. */
const churn = /^\.lockstep\/(?:ledger|evidence|owner|head|claims)(?:\/|$)/

const files = suite('a file from outside')
const root = temporaryRoot()
let reader: Reader | undefined

files.before(async () => {
  const { lock } = makeDeliverable(root)
  writeFileSync(lock, foreignText())
  const ledger = await openLedger({ dir: root, actor: testActor, create: true })
  try {
    await startRuns(ledger, ['run_reads_1'])
    const triplets = [{ stem: 'a', body: { x: 1 }, links: {}, manifest: {} }]
    await ledger.turns.apply({ run_id: 'run_reads_1', turn_id: 'turn-0001', triplets } as never)
  } finally {
    await ledger.close()
  }
  stageStem(join(root, 'staged'), 'a')
  const run = { run_id: 'run_other', lock_owner: 'run_other', target_name: 'IAMBECCA | ACME | SITE | shop | NEO' }
  const times = { lock_time: '2026-01-02T03:04:00Z', lock_reason: 'x', release_conditions: ['state == COMPLETE'] }
  write('runtime/runs/run_other/RUN_LOCK.json', JSON.stringify({ status: 'LOCKED', ...run, ...times }))
  write('bundle.tar.gz', 'x')
  for (const name of bundleFiles) write(join('bundle', name), '')
  write('input.json', '{}')
})

files.after(async () => {
  reader?.end()
  await endsWithVerify(root)
})

let turn = Math.floor(Date.now() / 1000)
for (const [what, { never = [], path, read = [], reads }] of Object.entries(places)) {
  const chosen = Array.from(
    { length: Math.min(shapesEach, all.length) },
    (_, index) => all[(turn + index) % all.length],
  )
  turn += shapesEach
  for (const shape of all.filter((name) => chosen.includes(name) && !never.includes(name))) {
    if (owners[0] === shape && !isRoot) continue
    files(`is answered with a code in bounded time and memory: ${what} as ${shape}`, async () => {
      const place = path(root)
      // An open removes a note that it has finished, and an owner file where something is wrong.
      if (!existsSync(place)) write(relative(root, place), `1 ${join(root, 'gone')}`)
      renameSync(place, good)
      try {
        shapes[shape]?.(place)
        const before = digestOf(root)
        reader ??= new Reader()
        const { cpu_ms, message, outcome, rss_mb } = await reader.ask({ path: place, reads, root })
        const said = `${outcome}: ${message}`
        if (read.includes(shape)) ok(outcome !== 'crashed' && outcome !== 'INVARIANT_VIOLATED', said)
        else ok(outcome in codes && outcome !== 'INVARIANT_VIOLATED', said)
        equal(digestOf(root), before, said)
        ok(cpu_ms <= cpuMillisMax, `${cpu_ms} ms, ${said}`)
        ok(rss_mb <= rssMegabytesMax, `${rss_mb} MB, ${said}`)
      } finally {
        rmSync(place, { force: true, recursive: true })
        renameSync(good, place)
      }
    })
  }
}

files.run()

/** A process that reads what it is told, and is ended where it says nothing. */
class Reader {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor() {
    const child = spawn(process.execPath, [compiled('fixtures/hostile/reader.ts')], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#child = child
    this.#lines = (createInterface({ input: child.stdout }) as Interface)[Symbol.asyncIterator]()
  }

  async ask(question: Question): Promise<Answer> {
    this.#child.stdin?.write(`${JSON.stringify(question)}\n`)
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), silentMillisMax)
    const { done, value } = await this.#lines.next()
    clearTimeout(timer)
    if (!done) return JSON.parse(value) as Answer
    reader = undefined
    throw new Error(`the reader ended or hung: ${this.#child.exitCode ?? this.#child.signalCode ?? 'silent'}`)
  }

  end(): void {
    this.#child.kill()
  }
}

function write(name: string, text: string): void {
  const path = join(root, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text, { mode: 0o600 })
}

function databaseFile(folder: string, pattern: RegExp): string {
  const ledger = join(folder, '.lockstep/ledger')
  const name = readdirSync(ledger)
    .filter((found) => pattern.test(found))
    .sort()
    .at(-1)
  return join(ledger, name ?? 'none')
}

/** Every name with what an attacker or a reader could change of it; the bytes of files by size, time and inode. */
function digestOf(folder: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (churn.test(name)) continue
    const { ino, isFile, mode, mtimeNs, size, uid } = statOf(join(folder, name))
    found[name] = isFile ? `${mode} ${uid} ${size} ${mtimeNs} ${ino}` : `${mode} ${uid}`
  }
  return found
}

function statOf(path: string) {
  const stat = lstatSync(path, { bigint: true })
  return { ...stat, isFile: stat.isFile() }
}
