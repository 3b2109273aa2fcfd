import * as fc from 'fast-check'

/** One step of a history: numbers only, taken modulo what there is, so that a failing history can be shrunk. */
export type Op =
  | { op: 'pass'; ms: number }
  | { op: 'passTo'; name: number; ms: number }
  | { op: 'jump'; ms: number }
  | { op: 'sleep'; ms: number }
  | { op: 'spawn'; host: number; ns: number; pid: number; hidden: boolean }
  | { op: 'end'; process: number; zombie: boolean }
  | { op: 'reboot'; host: number }
  | { op: 'move'; host: number; ns: number; environment: number }
  | { op: 'acquire'; who: number; name: number; lease: number; holders: number; stale: boolean; late: number }
  | { op: 'again'; request: number; twist: boolean; late: number }
  | { op: 'acquireAll'; who: number; lease: number; holders: number }
  | { op: 'renew' | 'release'; request: number; stranger: boolean; late: number }
  | { op: 'releaseProject'; request: number }
  | { op: 'recover' | 'retire'; name: number; stale: boolean }
  | { op: 'break'; name: number; operator: boolean }
  | { op: 'append'; name: number; token: number }

const some = fc.nat(1_000)
const name = fc.nat(3)
const host = fc.constantFrom(0, 0, 0, 1)
const ns = fc.constantFrom(0, 0, 0, 1)
const rarely = fc.nat(4).map((number) => number === 4)
/** The time between a claim and its decision: mostly none, at times more than the shortest lease. */
const late = fc.oneof(
  { weight: 4, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.constantFrom(3, 999, 1_000) },
)

const op = <Name extends Op['op']>(op: Name) => fc.constant(op)

/** Histories of up to 40 steps. */
export const histories: fc.Arbitrary<Op[]> = fc.array(
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
    { weight: 4, arbitrary: fc.record({ op: op('end'), process: some, zombie: rarely }) },
    { weight: 2, arbitrary: fc.record({ op: op('reboot'), host }) },
    { weight: 1, arbitrary: fc.record({ op: op('sleep'), ms: fc.nat(4_000_000) }) },
    { weight: 2, arbitrary: fc.record({ op: op('move'), host, ns, environment: fc.nat(5) }) },
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
