import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Op, Simulation } from './simulation.ts'

const test = suite('lock model')
const seed = Number(process.env.LOCKSTEP_SEED ?? Date.now() % 2 ** 31)
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 3_000)
console.log(`lock model: LOCKSTEP_SEED=${seed} LOCKSTEP_ROUNDS=${rounds}`)

const some = fc.nat(1_000)
const name = fc.nat(3)
const host = fc.nat(1)
const ns = fc.nat(1)
const rarely = fc.nat(4).map((number) => number === 4)
/** The time between a claim and its decision: mostly none, at times more than the shortest lease. */
const late = fc.oneof(
  { weight: 4, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.constantFrom(3, 999, 1_000) },
)

const op = <Name extends Op['op']>(op: Name) => fc.constant(op)
const history: fc.Arbitrary<Op[]> = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ op: op('pass'), ms: fc.oneof(fc.nat(20), fc.nat(70_000), fc.nat(4_000_000)) }),
    },
    { weight: 3, arbitrary: fc.record({ op: op('passTo'), name, ms: fc.integer({ min: -1, max: 1 }) }) },
    { weight: 2, arbitrary: fc.record({ op: op('jump'), ms: fc.integer({ min: -1e11, max: 1e11 }) }) },
    {
      weight: 4,
      arbitrary: fc.record({ op: op('spawn'), host, ns, pid: fc.integer({ min: 1, max: 3 }), hidden: rarely }),
    },
    { weight: 3, arbitrary: fc.record({ op: op('end'), process: some, zombie: rarely }) },
    { weight: 1, arbitrary: fc.record({ op: op('reboot'), host }) },
    { weight: 1, arbitrary: fc.record({ op: op('move'), host, ns }) },
    {
      weight: 8,
      arbitrary: fc.record({
        op: op('acquire'),
        who: some,
        name,
        lease: some,
        holders: fc.nat(7),
        stale: rarely,
        late,
      }),
    },
    { weight: 3, arbitrary: fc.record({ op: op('again'), request: some, twist: rarely, late }) },
    { weight: 1, arbitrary: fc.record({ op: op('acquireAll'), who: some, lease: some, holders: fc.nat(7) }) },
    { weight: 3, arbitrary: fc.record({ op: op('renew'), request: some, stranger: rarely, late }) },
    { weight: 3, arbitrary: fc.record({ op: op('release'), request: some, stranger: rarely, late }) },
    { weight: 1, arbitrary: fc.record({ op: op('releaseProject'), request: some }) },
    { weight: 1, arbitrary: fc.record({ op: op('recover'), name, stale: rarely }) },
    { weight: 1, arbitrary: fc.record({ op: op('retire'), name, stale: rarely }) },
    { weight: 1, arbitrary: fc.record({ op: op('break'), name, operator: fc.boolean() }) },
    { weight: 3, arbitrary: fc.record({ op: op('append'), name, token: some }) },
  ),
  { minLength: 1, maxLength: 40, size: 'max' },
)

test('the deciders say what the model says, in every history of commands, deaths, reboots and clocks that jump', () => {
  const property = fc.property(history, (ops) => {
    const simulation = new Simulation()
    for (const step of ops) simulation.play(step)
  })
  const { counterexample, errorInstance, failed, numRuns, numShrinks } = fc.check(property, { seed, numRuns: rounds })
  if (failed) {
    const steps = counterexample?.[0].map((step) => JSON.stringify(step)).join('\n')
    throw new Error(`history ${numRuns} failed; after ${numShrinks} shrinks it is\n${steps}\n${String(errorInstance)}`)
  }
  assert.is(numRuns, rounds)
})

test.run()
