// limit: 600
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, ok } from 'uvu/assert'
import { sharedMillis } from '../../fixtures/history/caller.ts'
import { below, oneOf, randomFrom } from '../../fixtures/random.ts'
import { violationsIn } from '../history/checker.ts'
import { Fleet, type Kill } from '../history/fleet.ts'
import { notOnce } from '../history/log-check.ts'
import { NodeProcess } from '../support/node-process.ts'
import { entriesLeft, newNodesLedger } from '../support/nodes.ts'
import { postgresMissing, startPostgres } from '../support/postgres.ts'
import { asPlainError } from '../support/scene.ts'
import { printedSeed } from '../support/seed.ts'

/** A round takes about a minute, so only the long run makes them. */
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 0)
const seed = printedSeed('histories of nodes')
const [clients, callers, locks, nodesCount] = [16, 1, 16, 3]
const lease_s = 1
const acceptedMin = 40
/** The time of entries is the database's, of which a node learns by a message. */
const slackMillis = 1_000
const faults = ['kill the writer', 'stop the writer', 'kill another', 'stop another', 'crash the database'] as const

const test = suite('histories of nodes')

test('under kills, stops and crashes of the database are linearizable, and each answered command is in the log once', async () => {
  const server = await startPostgres()
  const ledger = await newNodesLedger(server, nodesCount)
  const database = new URL(ledger.engine).pathname.slice(1)
  const nodes = ledger.dirs.map((_, at) => new NodeProcess(ledger, at))
  const fleet = new Fleet(ledger.dirs, { callers, isFar: true, lease_s, seed, size: clients })
  const random = randomFrom(seed)
  const tally = { rounds: 0, commands: 0, accepted: 0, unanswered: 0, faults: 0, entries: 0 }
  const writerNow = async () => {
    const sql = `SELECT substr(split_part(writer->>'node', '/', 1), 6) FROM lockstep.head`
    return Number((await server.sql(sql, database).catch(() => '')) || 0)
  }
  const inflict = async (fault: (typeof faults)[number]) => {
    if (fault === 'crash the database') {
      await server.stop('immediate')
      await server.start()
      return
    }
    const writer = await writerNow()
    const at = fault.endsWith('the writer') ? writer : (writer + 1 + below(nodesCount - 1, random)) % nodesCount
    const node = nodes[at]
    if (fault.startsWith('kill')) {
      await node?.end('SIGKILL')
      await node?.start()
      return
    }
    node?.signal('SIGSTOP')
    await new Promise((resolve) => setTimeout(resolve, 4_000 + below(2_000, random)))
    node?.signal('SIGCONT')
  }
  const histories: { round: number; operations: ReturnType<Fleet['history']>['operations'] }[] = []
  try {
    await Promise.all(nodes.map((node) => node.start()))
    for (let round = 0; round < rounds; round += 1) {
      const kills: Kill[] = []
      await fleet.fill()
      fleet.work(Array.from({ length: locks }, (_, index) => `resource:round-${round}-${index}`))
      const chosen =
        round === 0 ? (['stop the writer', 'crash the database', 'kill the writer'] as const) : [oneOf(faults, random)]
      for (const fault of chosen) {
        await fleet.accepts(1 + below(acceptedMin, random))
        const from = sharedMillis()
        await inflict(fault)
        await fleet.accepts(acceptedMin)
        kills.push({ from, to: sharedMillis() })
      }
      await fleet.rest()
      const history = { ...fleet.history(kills), isExtended: true }
      const violations = violationsIn(history, slackMillis)
      if (violations.length > 0) {
        const file = join(tmpdir(), `lockstep-nodes-${process.pid}.json`)
        writeFileSync(file, JSON.stringify({ violations: violations.slice(0, 3), history }, null, 1))
        ok(false, `round ${round} of LOCKSTEP_SEED=${seed}: ${violations[0]?.what}; see ${file}`)
      }
      histories.push({ round, operations: history.operations })
      tally.rounds += 1
      tally.faults += chosen.length
      tally.commands += history.operations.length
      tally.accepted += history.operations.filter(({ answer }) => answer !== undefined && !answer.code).length
      tally.unanswered += history.operations.filter(({ answer }) => answer === undefined).length
    }
    for (const node of nodes) equal(await node.end('SIGTERM'), 0, node.said)
    const entries = await entriesLeft(ledger)
    for (const { operations, round } of histories)
      equal(notOnce(operations, entries), [], `round ${round} of LOCKSTEP_SEED=${seed}`)
    const tokens = entries.filter(({ type }) => type === 'lock.acquired').map(({ data }) => Number(data.token ?? 0))
    equal(
      tokens,
      tokens.toSorted((one, other) => one - other),
    )
    tally.entries = entries.length
    console.log(JSON.stringify(tally))
    ok(tally.accepted > acceptedMin * rounds, JSON.stringify(tally))
  } catch (error) {
    asPlainError(error)
  } finally {
    await fleet.end()
    for (const node of nodes) await node.end('SIGKILL')
    await server.close()
  }
})

if (postgresMissing === undefined && rounds > 0) test.run()
else {
  const without = suite('histories of nodes')
  without('are not made here', () => console.log(postgresMissing ?? 'histories of nodes: npm run test:long makes them'))
  without.run()
}
