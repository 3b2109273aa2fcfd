import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { suite } from 'uvu'
import { equal, ok } from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { compiled } from '../support/compiled.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

// Holders and judges in all environments that a sandbox or a container makes, crossed: every holder has two locks for
// every judge, one that it holds itself and lives, one of a child that is killed at once. The judges ask again and again.
// A lock of a live holder is never granted before its lease is over, whatever the judge reads; each lock is granted soon
// after it is. Namespaces and mounts need root and unshare; without them only the environment of the test is there.

const rounds = Math.max(1, Math.floor(Number(process.env.LOCKSTEP_ROUNDS ?? 0) / 50))
const environments = suite('environments')
const files = temporaryRoot()

const file = (name: string, text: string): string => {
  writeFileSync(join(files, name), text)
  return join(files, name)
}
const ownBoot = file('boot_id', '11111111-2222-4333-8444-555555555555\n')
const started = file('uptime', '3.00 1.00\n')
const ahead = file('uptime-ahead', '99999999.00 1.00\n')

const mounted = (mount: string) => [
  'unshare',
  '-m',
  '--propagation',
  'private',
  'sh',
  '-c',
  `${mount} && exec "$@"`,
  'sh',
]
const bound = (from: string, over: string) => mounted(`mount --bind ${from} ${over}`)

/** What stands in front of a command that runs in an environment. */
const prefixes: Record<string, string[]> = {
  normal: [],
  'no /proc': mounted('mount -t tmpfs none /proc'),
  'boot_id masked': bound('/dev/null', '/proc/sys/kernel/random/boot_id'),
  'own boot_id': bound(ownBoot, '/proc/sys/kernel/random/boot_id'),
  'own uptime': bound(started, '/proc/uptime'),
  'own uptime, far ahead': bound(ahead, '/proc/uptime'),
  'time namespace': ['unshare', '-T', '--boottime', '90000000', '--monotonic', '90000000'],
  'pid namespace': ['unshare', '-p', '-f', '--mount-proc', '--kill-child'],
}

const isThere = ([command, ...words]: string[]): boolean =>
  command === undefined || spawnSync(command, [...words, 'true']).status === 0
const names = Object.keys(prefixes).filter((name) => isThere(prefixes[name] ?? []))
const missing = Object.keys(prefixes).filter((name) => !names.includes(name))
if (missing.length > 0) console.log(`environments: not run without root and unshare: ${missing.join(', ')}`)

interface Answer {
  name: string
  code: string
  asked: number
  answered: number
}

/** A process in an environment that works on the ledger as it is told. */
class Worker {
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>
  readonly #lines: Interface

  constructor(dir: string, environment: string) {
    const [command, ...words] = [...(prefixes[environment] ?? []), process.execPath]
    const worker = compiled('fixtures/environments/worker.ts')
    this.#child = spawn(command ?? '', [...words, worker, dir, environment], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#ended = once(this.#child, 'exit')
    this.#lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream })
  }

  async tell<T>(order: unknown): Promise<T> {
    const ended = this.#ended.then(() => Promise.reject(new Error('the worker ended')))
    // Where an answer comes first, the end of the worker is no concern of this one any more.
    ended.catch(() => {})
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`)
    const [line] = (await Promise.race([once(this.#lines, 'line'), ended])) as [string]
    const answer = JSON.parse(line)
    if ('failed' in answer) throw new Error(answer.failed)
    return answer
  }

  async end(): Promise<void> {
    this.#child.stdin?.end()
    await this.#ended
  }
}

const alive = (holder: number, judge: number) => `resource:alive-${holder}-${judge}`
const dead = (holder: number, judge: number) => `resource:dead-${holder}-${judge}`

/** The lease of each lock by its name, from the request to the answer. */
async function hold(workers: Worker[], lease_s: number): Promise<Map<string, Answer>> {
  const granted = new Map<string, Answer>()
  for (const [holder, worker] of workers.entries()) {
    const { pid } = await worker.tell<{ pid: number }>({ child: true })
    const own = workers.map((_, judge) => alive(holder, judge))
    const childs = workers.map((_, judge) => dead(holder, judge))
    const acquire = [{ names: own }, { names: childs, pids: [pid] }]
    for (const answer of await worker.tell<Answer[]>({ acquire, lease_s })) {
      equal(answer.code, 'granted', `${names[holder]}: ${answer.name}`)
      granted.set(answer.name, answer)
    }
    await worker.tell({ kill: pid })
  }
  return granted
}

/** Two readings of the clocks of one machine are apart by less. */
const slackMillis = 750
const limitMillis = 60_000

/** Asks for every lock in every environment until it is had, and holds each answer to the lease. */
async function judge(workers: Worker[], granted: Map<string, Answer>, leaseMillis: number): Promise<number> {
  const left = workers.map((_, judge) => workers.flatMap((_, holder) => [alive(holder, judge), dead(holder, judge)]))
  const refused = new Set<string>()
  const until = Date.now() + leaseMillis + limitMillis
  while (left.some((locks) => locks.length > 0)) {
    ok(Date.now() < until, `not had within ${limitMillis} ms of the lease: ${left.flat().join(', ')}`)
    for (const [index, worker] of workers.entries()) {
      const answers = await worker.tell<Answer[]>({ acquire: [{ names: left[index] }], lease_s: 600 })
      left[index] = answers.filter((answer) => !isHad(answer, names[index] ?? '')).map(({ name }) => name)
    }
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  return refused.size

  function isHad({ answered, asked, code, name }: Answer, environment: string): boolean {
    const lease = granted.get(name) as Answer
    const what = `${environment} judges ${name}`
    if (code === 'granted') {
      const early = lease.asked + leaseMillis - answered
      ok(early <= 0 || name.includes('dead'), `${what}: had ${early} ms before its lease was over`)
      return true
    }
    equal(code, 'LOCK_CONTENTION', what)
    const late = asked - (lease.answered + leaseMillis + slackMillis)
    ok(late <= 0, `${what}: still held ${late} ms after its lease was over`)
    if (name.includes('alive')) refused.add(name)
    return false
  }
}

environments(
  `holder and judge crossed over ${names.length} environments: no lease ends early, no orphan is immortal`,
  async () => {
    for (let round = 0, lease_s = 6; round < rounds; ) {
      const dir = temporaryRoot()
      await (await openLedger({ dir, create: true, actor: testActor, policy: false })).close()
      const workers = names.map((name) => new Worker(dir, name))
      try {
        const granted = await hold(workers, lease_s)
        const refused = await judge(workers, granted, lease_s * 1_000)
        // On a loaded machine a lease may be over before its judge comes; then it is done again with a longer one.
        if (refused === names.length ** 2) round += 1
        else lease_s *= 2
        ok(lease_s <= 100, `only ${refused} of ${names.length ** 2} leases were judged while they ran`)
      } finally {
        await Promise.all(workers.map((worker) => worker.end()))
      }
      await endsInTruth(dir)
    }
  },
)

/** No live holder was recovered but by the end of its lease; a dead one that could be seen was recovered before. */
async function endsInTruth(dir: string): Promise<void> {
  const ledger = await openLedger({ dir, actor: testActor })
  try {
    const seen = new Set<string>()
    for await (const { data, type } of ledger.log.read()) {
      if (type !== 'lock.recovered') continue
      seen.add(`${data.name}`.includes('dead') ? 'a dead holder' : `a live holder: ${data.recovery_reason}`)
      if (data.name === dead(0, 0)) equal(data.recovery_reason, 'pid_dead')
    }
    equal([...seen].sort(), ['a dead holder', 'a live holder: lease_expired'])
  } finally {
    await ledger.close()
  }
  await endsWithVerify(dir)
}

environments.run()
