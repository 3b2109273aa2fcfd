// limit: 300
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, ok } from 'uvu/assert'
import { below, randomFrom } from '../../fixtures/random.ts'
import { connect } from '../../src/client.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { openLedger } from '../../src/open.ts'
import { root as project } from '../runner.ts'
import { compiled } from '../support/compiled.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { asPlainError } from '../support/scene.ts'
import { printedSeed } from '../support/seed.ts'
import { type Violation, violationsIn } from './checker.ts'
import { Fleet, ServiceProcess } from './fleet.ts'
import type { History } from './history.ts'
import { notOnce } from './log-check.ts'

/** The long run is 100 rounds. */
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 3)
const seed = printedSeed('histories of a service')
const [clients, callers, locks] = [16, 2, 8]
const lease_s = 1
const roundMillis = 2_600
const main = join(process.env.LOCKSTEP_TEST_DIST ?? join(project, 'dist'), 'cli/main.js')

const test = suite('histories of a service')

test('under kills and stops are linearizable, and each acknowledged command is in the log once', async () => {
  const scene = await begun((dir) => [main, '--dir', dir, 'serve'])
  const tally = { rounds: 0, commands: 0, accepted: 0, unanswered: 0, kills: 0, entries: 0 }
  try {
    for (let round = 0; round < rounds; round += 1) {
      const { entries, history, violations } = await played(scene, round)
      const where = `round ${round} of LOCKSTEP_SEED=${seed}`
      if (process.env.DUMP && violations.length > 0) {
        const { writeFileSync } = await import('node:fs')
        const near = entries.filter(({ stream }) => stream === `lock/${violations[0]?.operation.name}`)
        writeFileSync(
          process.env.DUMP,
          JSON.stringify(
            {
              kills: scene.service.kills,
              violation: violations[0],
              near,
              own: history.operations
                .filter(({ name }) => name === violations[0]?.operation.name)
                .sort((a, b) => a.from - b.from),
              deaths: [...history.deaths],
            },
            null,
            1,
          ),
        )
      }
      equal(violations, [], where)
      equal(notOnce(history.operations, entries), [], where)
      tally.rounds += 1
      tally.commands += history.operations.length
      tally.accepted += history.operations.filter(({ answer }) => answer !== undefined && !answer.code).length
      tally.unanswered += history.operations.filter(({ answer }) => answer === undefined).length
      tally.entries = entries.length
    }
    tally.kills = scene.service.kills.length
    console.log(JSON.stringify(tally))
    ok(tally.accepted > 50 * rounds && tally.unanswered > rounds && tally.kills >= rounds, JSON.stringify(tally))
    equal(await scene.service.stop(), 0)
    await endsWithVerify(scene.root)
  } catch (error) {
    asPlainError(error)
  } finally {
    await ended(scene)
  }
})

test.run()

interface Scene {
  root: string
  fleet: Fleet
  service: ServiceProcess
  random: () => number
}

/** A ledger with a service, before its clients. */
async function begun(wordsOf: (dir: string) => string[]): Promise<Scene> {
  const root = temporaryRoot()
  await (await openLedger({ actor: testActor, create: true, dir: root, policy: false })).close()
  const service = new ServiceProcess(root, wordsOf(root))
  await service.start()
  return { root, service, fleet: new Fleet(root, { callers, lease_s, seed, size: clients }), random: randomFrom(seed) }
}

async function ended({ fleet, service }: Scene): Promise<void> {
  await fleet.end()
  await service.kill()
}

/** One round over names of its own: the clients work while some of them and the service are stopped and killed. */
async function played(scene: Scene, round: number): Promise<Played> {
  const { fleet, random, root, service } = scene
  await fleet.fill()
  fleet.work(Array.from({ length: locks }, (_, index) => `resource:round-${round}-${index}`))
  await faults(scene, random)
  await fleet.rest()
  const client = await connect({ dir: root })
  try {
    const entries: Entry[] = []
    for await (const entry of client.log.read()) entries.push(entry)
    await client.log.verify()
    const history = fleet.history(service.kills)
    return { entries, history, violations: violationsIn(history) }
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
async function faults({ fleet, service }: Scene, random: () => number): Promise<void> {
  const [first, second, third, fourth, fifth] = shuffled(clients, random)
  const at = (millis: number, act: () => void | Promise<void>) =>
    new Promise<void>((resolve, reject) => {
      setTimeout(() => void Promise.resolve(act()).then(resolve, reject), millis)
    })
  const stopped = [first, second, third].flatMap((index = 0) => {
    const from = below(900, random)
    const stoppedMillis = lease_s * 1_000 + 200 + below(500, random)
    return [
      at(from, () => fleet.signal(index, 'SIGSTOP')),
      at(from + stoppedMillis, () => fleet.signal(index, 'SIGCONT')),
    ]
  })
  const killed = [fourth, fifth].map((index = 0) =>
    at(200 + below(roundMillis - 600, random), () => fleet.signal(index, 'SIGKILL')),
  )
  const restarted = at(300 + below(1_200, random), async () => {
    await service.kill()
    await service.start()
    if (random() < 0.3) {
      await service.kill()
      await service.start()
    }
  })
  await Promise.all([...stopped, ...killed, restarted, at(roundMillis, () => {})])
}

function shuffled(count: number, random: () => number): number[] {
  const places = Array.from({ length: count }, (_, index) => ({ index, order: random() }))
  return places.sort((left, right) => left.order - right.order).map(({ index }) => index)
}
void compiled
