import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { printedSeed } from '../../support/seed.ts'
import { PathSimulation, type PathStep } from './paths-simulation.ts'

const test = suite('paths model')
const seed = printedSeed('paths model')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 10) * 200

/** Few names, so that the paths of a sequence are often the same, or one below the other. */
const segment = fc.constantFrom('a', 'a', 'b', 'c', 'a.js', 'ab')
const path = fc.oneof(
  { weight: 9, arbitrary: fc.tuple(fc.array(segment, { maxLength: 4, minLength: 1 }), fc.boolean()).map(inNormalForm) },
  { weight: 1, arbitrary: fc.constant('./') },
)
const paths = fc.oneof(
  { weight: 3, arbitrary: path.map((one) => [one]) },
  { weight: 1, arbitrary: fc.uniqueArray(path, { maxLength: 5, minLength: 2 }) },
)
const some = fc.nat(1_000)

const step: fc.Arbitrary<PathStep> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('acquire' as const),
      lease: fc.constantFrom(1, 10, 600),
      paths,
      shared: fc.boolean(),
      stranger: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('again' as const), grant: some, twist: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constantFrom('release' as const, 'renew' as const), grant: some }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constantFrom('break' as const, 'recover' as const), path }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('die' as const), grant: some }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('pass' as const), seconds: fc.constantFrom(1, 9, 700) }) },
)

function inNormalForm([segments, isTree]: [string[], boolean]): string {
  return segments.join('/') + (isTree ? '/' : '')
}

const reached = new Set<string>()

test('no two grants exclude each other, every refusal names a real holder, and free paths are granted', () => {
  const property = fc.property(fc.array(step, { maxLength: 40, minLength: 1, size: 'max' }), (steps) => {
    const simulation = new PathSimulation()
    for (const one of steps) reached.add(simulation.play(one))
  })
  const { counterexample, errorInstance, failed, numRuns, numShrinks } = fc.check(property, { numRuns: rounds, seed })
  if (failed) {
    const steps = counterexample?.[0].map((one) => JSON.stringify(one)).join('\n')
    throw new Error(`sequence ${numRuns} failed; after ${numShrinks} shrinks it is\n${steps}\n${String(errorInstance)}`)
  }
  assert.is(numRuns, rounds)
})

test('these sequences reach every answer', () => {
  const answers = [
    'acquire append',
    'acquire append over orphans',
    'acquire LOCK_CONTENTION',
    'again repeat',
    'again IDEMPOTENCY_MISMATCH',
    'again LOCK_ENDED',
    'break append',
    'break LOCK_NOT_HELD',
    'recover append',
    'recover LOCK_NOT_ORPHAN',
    'release append',
    'release repeat',
    'renew append',
    'renew LEASE_EXPIRED',
    'renew STALE_TOKEN',
  ]
  assert.equal(
    answers.filter((answer) => !reached.has(answer)),
    [],
  )
})

test.run()
