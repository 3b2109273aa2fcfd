import { suite } from 'uvu'
import { equal, ok, unreachable } from 'uvu/assert'
import { breakMemory } from '../../fixtures/history/broken.ts'
import { Caller, type Line } from '../../fixtures/history/caller.ts'
import { randomFrom } from '../../fixtures/random.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import { temporaryRoot, testActor, withLedger } from '../support/ledger.ts'
import { printedSeed } from '../support/seed.ts'
import { violationsIn } from './checker.ts'
import type { History } from './history.ts'
import { notOnce } from './log-check.ts'

const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 1)
const seed = printedSeed('histories in process')
const callersMax = 32
const roundMillis = 1_500
const brokenRoundsMax = 12
const names = Array.from({ length: 8 }, (_, index) => `resource:name-${index}`)

const test = suite('histories in process')

test('of many callers are linearizable, and each acknowledged command is in the log once', async () => {
  for (let round = 0; round < rounds; round += 1) {
    await withLedger(async (ledger) => {
      const history = await historyOf(ledger, seed + round)
      equal(violationsIn(history), [], `LOCKSTEP_SEED=${seed}, round ${round}`)
      equal(notOnce(history.operations, await entriesOf(ledger)), [], `LOCKSTEP_SEED=${seed}, round ${round}`)
      const answered = history.operations.filter(({ answer }) => answer !== undefined && answer.code === undefined)
      console.log(`round ${round}: ${history.operations.length} commands, ${answered.length} accepted`)
      ok(answered.length > 100)
    })
  }
})

for (const forgets of ['a grant', 'a release', 'a renewal'] as const) {
  test(`of a sequencer that forgets ${forgets} are rejected`, async () => {
    // It is not verified: its rows are not what its entries say.
    const ledger = await openLedger({ actor: testActor, create: true, dir: temporaryRoot(), policy: false })
    const restore = breakMemory(forgets, randomFrom(seed))
    try {
      // What is forgotten need not show in a short history, least of all on a loaded machine.
      for (let round = 0; round < brokenRoundsMax; round += 1) {
        const [violation] = violationsIn(await historyOf(ledger, seed + round))
        if (violation === undefined) continue
        const { answer, input } = violation.operation
        console.log(`${forgets}: ${JSON.stringify(input)} ${JSON.stringify(answer)}`)
        return
      }
      unreachable(`LOCKSTEP_SEED=${seed}`)
    } finally {
      restore()
      await ledger.close()
    }
  })
}

test.run()

/** What callers see of a ledger in some seconds. */
async function historyOf(ledger: LocalLedger, seedOfRound: number): Promise<History> {
  const lines = new Map<string, Line>()
  const until = performance.now() + roundMillis
  const callers = Array.from({ length: callersMax }, (_, index) => {
    const print = (line: Line) => void lines.set(line.id, line)
    const random = randomFrom(seedOfRound * 1_000 + index)
    return new Caller({ ledger, process: `caller-${index}`, pid: undefined, lease_s: 1, print, random })
  })
  await Promise.all(callers.map((caller) => caller.work(names, () => performance.now() > until)))
  return { operations: [...lines.values()].map((line) => ({ ...line, to: line.to ?? Infinity })), deaths: new Map() }
}

async function entriesOf(ledger: LocalLedger) {
  const entries = []
  for await (const entry of ledger.log.read()) entries.push(entry)
  return entries
}
