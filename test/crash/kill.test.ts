// limit: 120
import { suite } from 'uvu'
import { equal, ok } from 'uvu/assert'
import { caller } from '../../fixtures/crash/asks.ts'
import { phases } from '../../fixtures/crash/kill-points.ts'
import { below, oneOf, randomFrom } from '../../fixtures/random.ts'
import type { openLedger } from '../../src/open.ts'
import { compiled, importCompiled } from '../support/compiled.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { printedSeed } from '../support/seed.ts'
import { findingsAfterCrash } from './after-crash.ts'
import { type Asked, askedIn } from './lines.ts'
import { makeDeliverables, runWriter } from './writers.ts'

const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 3)
const seed = printedSeed('kill')
const roundsPerRoot = 8
/** A writer that has not killed itself by then is killed; the step it was to die at did not come. */
const lifeMillisMax = 4_000

const kill = suite('a killed writer')

kill('loses nothing that it acknowledged, and leaves nothing half done', async () => {
  console.log(`${rounds} rounds`)
  const random = randomFrom(seed)
  const module = await importCompiled<{ openLedger: typeof openLedger }>('src/index.ts')
  const totals = { acknowledged: 0, unanswered: 0, bySelf: 0 }
  let root = ''
  let asked: Asked[] = []
  for (let round = 0; round < rounds; round += 1) {
    if (round % roundsPerRoot === 0) {
      asked = []
      root = await newRoot(module.openLedger)
    }
    const atTime = random() < 0.5
    const point = [String(1 + below(300, random)), oneOf(phases, random)]
    const words = [root, String(seed + round), ...(atTime ? [] : point)]
    const ended = await runWriter(compiled('fixtures/crash/writer.ts'), words, {
      afterMillis: atTime ? below(400, random) : lifeMillisMax,
    })
    const where = `round ${round} of LOCKSTEP_SEED=${seed}, ${atTime ? 'at a time' : `at step ${point.join(' ')}`}`
    equal(ended.signal, 'SIGKILL', `${where}: it ended with ${ended.code}: ${ended.stderr}`)
    const put = askedIn(ended.lines)
    asked = [...asked, ...put]
    equal(await findingsAfterCrash({ root, asked, openLedger: module.openLedger }), [], where)
    totals.acknowledged += put.filter(({ answer }) => answer !== undefined).length
    totals.unanswered += put.filter(({ answer, refused }) => answer === undefined && refused === undefined).length
    totals.bySelf += atTime ? 0 : 1
  }
  console.log(JSON.stringify(totals))
  ok(totals.acknowledged > 0 && totals.unanswered > 0, JSON.stringify(totals))
})

async function newRoot(open: typeof openLedger): Promise<string> {
  const root = temporaryRoot()
  makeDeliverables(root, ['DEL-01-01_One', 'DEL-01-02_Two', 'KTY-A1-B2_Three'])
  await (await open({ dir: root, create: true, policy: false, actor: caller })).close()
  return root
}

kill.run()
