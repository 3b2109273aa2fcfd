// limit: 240
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, ok } from 'uvu/assert'
import { below, randomFrom } from '../../fixtures/random.ts'
import { type Client, connect } from '../../src/client.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { openLedger } from '../../src/open.ts'
import { all } from '../api/stage.ts'
import { root as project } from '../runner.ts'
import { compiled } from '../support/compiled.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { asPlainError } from '../support/scene.ts'
import { printedSeed } from '../support/seed.ts'
import { type Violation, violationsIn } from './checker.ts'
import { Fleet, ServiceEnded, ServiceProcess } from './fleet.ts'
import type { History } from './history.ts'
import { notOnce } from './log-check.ts'

/** The long run is 100 rounds. */
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 1)
const seed = printedSeed('histories of a service')
const [clients, callers, locks] = [16, 2, 8]
const lease_s = 1
/** The least number of commands that are accepted before and after each kill of the service. */
const acceptedMin = 40
const main = join(process.env.LOCKSTEP_TEST_DIST ?? join(project, 'dist'), 'cli/main.js')

/** A service that is broken now and then is given some chances to show it. */
const triesMax = 8
const brokenClients = 6

const test = suite('histories of a service')

test('under kills and stops are linearizable, and each acknowledged command is in the log once', async () => {
  const scene = await begun((dir) => [main, '--dir', dir, 'serve'])
  const tally = { rounds: 0, commands: 0, accepted: 0, unanswered: 0, kills: 0, entries: 0 }
  try {
    for (let round = 0; round < rounds; round += 1) {
      const { entries, history, violations } = await played(scene, round)
      const where = `round ${round} of LOCKSTEP_SEED=${seed}`
      if (violations.length > 0) ok(false, `${where}: ${kept(violations, history, entries)}`)
      equal(notOnce(history.operations, entries), [], where)
      await asked(scene.root, (client) => client.log.verify())
      tally.rounds += 1
      tally.commands += history.operations.length
      tally.accepted += history.operations.filter(({ answer }) => answer !== undefined && !answer.code).length
      tally.unanswered += history.operations.filter(({ answer }) => answer === undefined).length
      tally.entries = entries.length
      console.log(`round ${round}: ${history.operations.length} commands`)
    }
    tally.kills = scene.service.kills.length
    console.log(JSON.stringify(tally))
    ok(
      tally.accepted > acceptedMin * rounds && tally.unanswered > rounds && tally.kills >= rounds,
      JSON.stringify(tally),
    )
    equal(await scene.service.stop(), 0)
    await endsWithVerify(scene.root)
  } catch (error) {
    asPlainError(error)
  } finally {
    await ended(scene)
  }
})

for (const broken of ['answers before it writes', 'forgets a grant'] as const) {
  test(`of a service that ${broken} are rejected`, async () => {
    const program = compiled('fixtures/history/broken-service.ts')
    const how = broken.startsWith('forgets') ? broken.slice('forgets '.length) : 'early'
    for (let tries = 1; tries <= triesMax; tries += 1) {
      const scene = await begun((dir) => [program, dir, String(seed + tries), how], brokenClients)
      try {
        const { entries, history, violations } = await played(scene, tries)
        const missing = notOnce(history.operations, entries)
        console.log(
          `${broken}, try ${tries}: ${violations.length} violations, ${missing.length} commands not once in the log`,
        )
        for (const { operation, what } of violations.slice(0, 1)) console.log(what, JSON.stringify(operation))
        if (violations.length > 0) return
      } catch (error) {
        // The head file was written while entries were not: the open check sees that by itself.
        if (!(error instanceof ServiceEnded) || !error.message.includes('LEDGER_CORRUPT')) asPlainError(error)
        console.log(`${broken}, try ${tries}: LEDGER_CORRUPT`)
      } finally {
        await ended(scene)
      }
    }
    ok(false, `nothing was wrong in ${triesMax} histories of a service that ${broken}, LOCKSTEP_SEED=${seed}`)
  })
}

test.run()

interface Scene {
  root: string
  fleet: Fleet
  service: ServiceProcess
  random: () => number
}

/** A ledger with a service, before its clients. */
async function begun(wordsOf: (dir: string) => string[], size = clients): Promise<Scene> {
  const root = temporaryRoot()
  await (await openLedger({ actor: testActor, create: true, dir: root, policy: false })).close()
  const service = new ServiceProcess(root, wordsOf(root))
  await service.start()
  return {
    root,
    service,
    fleet: new Fleet(root, { callers, lease_s, seed, size }),
    random: randomFrom(seed),
  }
}

async function ended({ fleet, service }: Scene): Promise<void> {
  await fleet.end()
  await service.kill()
}

/** One round over names of its own: the clients work while some of them and the service are stopped and killed. */
async function played(scene: Scene, round: number): Promise<Played> {
  const { fleet, root, service } = scene
  await fleet.fill()
  fleet.work(Array.from({ length: locks }, (_, index) => `resource:round-${round}-${index}`))
  await faults(scene)
  await fleet.rest()
  const entries = await asked(root, (client) => all(client.log.read()))
  const history = fleet.history(service.kills)
  return { entries, history, violations: violationsIn(history) }
}

/** What the service of a ledger answers to a client of its own. */
async function asked<T>(dir: string, ask: (client: Client) => Promise<T>): Promise<T> {
  const client = await connect({ dir })
  try {
    return await ask(client)
  } finally {
    await client.close()
  }
}

interface Played {
  entries: Entry[]
  history: History
  violations: Violation[]
}

/** Three clients are stopped for longer than a lease, two are killed, and the service is killed once or twice. */
async function faults({ fleet, random, service }: Scene): Promise<void> {
  const [first, second, third, fourth, fifth] = shuffled(fleet.size, random)
  const stops = [first, second, third].map(async (index = 0) => {
    await fleet.accepts(1 + below(acceptedMin, random))
    fleet.signal(index, 'SIGSTOP')
    await after(lease_s * 1_000 + 200 + below(500, random))
    fleet.signal(index, 'SIGCONT')
  })
  const kills = [fourth, fifth].map(async (index = 0) => {
    await fleet.accepts(1 + below(2 * acceptedMin, random))
    fleet.signal(index, 'SIGKILL')
  })
  const restarts = async () => {
    for (let left = random() < 0.25 ? 2 : 1; left > 0; left -= 1) {
      await fleet.accepts(1 + below(acceptedMin, random))
      await after(below(20, random))
      await service.kill()
      await service.start()
    }
    await fleet.accepts(acceptedMin)
  }
  await Promise.all([...stops, ...kills, restarts()])
}

/** A moment of work, or a stop of a known length: there is nothing to wait for. */
function after(millis: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, millis))
}

/** What is wrong, and the file with the history of the first lock: another run would have another history. */
function kept([first, ...others]: Violation[], { deaths, operations }: History, entries: Entry[]): string {
  const file = join(tmpdir(), `lockstep-history-${process.pid}.json`)
  const name = first?.operation.name
  const own = operations.filter((operation) => operation.name === name)
  const logged = entries.filter(({ stream }) => stream === `lock/${name}`)
  writeFileSync(file, JSON.stringify({ first, own, deaths: [...deaths], logged }, null, 1))
  return `${first?.what}: ${JSON.stringify(first?.operation)}; ${others.length} others; see ${file}`
}

function shuffled(count: number, random: () => number): number[] {
  const places = Array.from({ length: count }, (_, index) => ({ index, order: random() }))
  return places.sort((left, right) => left.order - right.order).map(({ index }) => index)
}
