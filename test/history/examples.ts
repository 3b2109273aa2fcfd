import type { Answer, Input, Operation } from './history.ts'

/** A history that somebody made up: its commands, and what the checker must say to it. */
export interface Example {
  title: string
  isCorrect: boolean
  operations: Operation[]
  deaths?: [process: string, at: number][]
}

const acquire = (lock: string, holder?: string): Input => {
  return { do: 'acquire', lock, lease_ms: 100, ...(holder === undefined ? {} : { holder }) }
}
const renew = (lock: string): Input => ({ do: 'renew', lock })
const release = (lock: string): Input => ({ do: 'release', lock })
const append = (token: number, key: string): Input => ({ do: 'append', token, key })

const granted = (token: number): Answer => ({ token, current: true, replayed: false })
const repeated = (token: number, current = true): Answer => ({ token, current, replayed: true })
const contention = (token: number): Answer => ({ code: 'LOCK_CONTENTION', current_token: token })
const released = (token: number, late = false): Answer => ({ token, late, replayed: false })
const renewed = (token: number, renewals = 1): Answer => ({ token, renewals })
const appended = (seq: number, replayed = false): Answer => ({ seq, replayed })
const stale = (token: number | null): Answer => ({ code: 'STALE_TOKEN', current_token: token })
const expired: Answer = { code: 'LEASE_EXPIRED' }

/** A command from one moment to another; without an answer it may have taken effect at any later time. */
function during(from: number, to: number, input: Input, answer?: Answer): Operation {
  const operation = { name: 'resource:a', process: 'p', from, to, input }
  return answer === undefined ? { ...operation, to: Infinity } : { ...operation, answer }
}

const first = during(0, 5, acquire('a'), granted(1))

function good(title: string, operations: Operation[], deaths: [string, number][] = []): Example {
  return { title, isCorrect: true, operations, deaths }
}

function bad(title: string, operations: Operation[], deaths: [string, number][] = []): Example {
  return { title, isCorrect: false, operations, deaths }
}

export const examples: Example[] = [
  good('a whole life', [
    first,
    during(10, 12, acquire('b'), contention(1)),
    during(13, 15, append(1, 'k'), appended(2)),
    during(60, 65, renew('a'), renewed(1)),
    during(120, 125, append(1, 'l'), appended(4)),
    during(130, 131, release('a'), released(1)),
    during(132, 133, release('a'), { token: 1, replayed: true }),
    during(134, 135, acquire('b'), granted(6)),
    during(136, 137, append(1, 'm'), stale(6)),
  ]),
  good('two grants whose release lies between them', [
    first,
    during(6, 30, acquire('b'), granted(3)),
    during(7, 29, release('a'), released(1)),
  ]),
  bad('two grants at once', [first, during(6, 30, acquire('b'), granted(3))]),
  bad('a grant before the release was called', [
    first,
    during(6, 10, acquire('b'), granted(3)),
    during(11, 12, release('a'), released(1)),
  ]),
  bad('a token that goes back', [
    during(0, 5, acquire('a'), granted(4)),
    during(6, 7, release('a'), released(4)),
    during(8, 9, acquire('b'), granted(3)),
  ]),
  bad('a token that is given twice', [
    during(0, 5, acquire('a'), granted(4)),
    during(6, 7, release('a'), released(4)),
    during(8, 9, acquire('b'), granted(4)),
  ]),
  good('a grant after the lease', [first, during(90, 101, acquire('b'), granted(3))]),
  bad('a grant before the lease is over', [first, during(80, 97, acquire('b'), granted(3))]),
  good('contention to the end of the lease', [first, during(101, 110, acquire('b'), contention(1))]),
  bad('contention after the lease', [first, during(108, 110, acquire('b'), contention(1))]),
  good(
    'a grant over a dead holder',
    [during(0, 5, acquire('a', 'p1'), granted(1)), during(10, 30, acquire('b'), granted(3))],
    [['p1', 20]],
  ),
  bad(
    'a grant over a holder that dies later',
    [during(0, 5, acquire('a', 'p1'), granted(1)), during(10, 15, acquire('b'), granted(3))],
    [['p1', 20]],
  ),
  bad(
    'a grant over a dead process that is not the holder',
    [first, during(10, 30, acquire('b'), granted(3))],
    [['p1', 20]],
  ),
  bad('an append under the token of an expired lease', [first, during(108, 110, append(1, 'k'), appended(2))]),
  bad('an append under a token that was superseded', [
    first,
    during(10, 11, release('a'), released(1)),
    during(12, 13, acquire('b'), granted(3)),
    during(14, 15, append(1, 'k'), appended(4)),
  ]),
  bad('a stale token that is current', [first, during(10, 11, append(1, 'k'), stale(null))]),
  good('an append that expired', [first, during(90, 110, append(1, 'k'), expired)]),
  bad('an append that expired too early', [first, during(90, 95, append(1, 'k'), expired)]),
  good('a request that is repeated with its key', [
    first,
    during(10, 11, append(1, 'k')),
    during(12, 13, append(1, 'k'), appended(2, true)),
  ]),
  good('a request whose first try did not happen', [
    first,
    during(10, 11, append(1, 'k')),
    during(12, 13, append(1, 'k'), appended(2)),
  ]),
  bad('a request that appends twice', [
    first,
    during(10, 11, append(1, 'k'), appended(2)),
    during(12, 13, append(1, 'k'), appended(3)),
  ]),
  bad('a repeated answer to a request that was never made', [first, during(12, 13, append(1, 'k'), appended(2, true))]),
  good('an acquisition that is repeated with its lock_id', [
    during(0, 5, acquire('a')),
    during(6, 9, acquire('a'), repeated(1)),
    during(200, 210, acquire('a'), repeated(1, false)),
  ]),
  bad('a repeated grant that claims to be current after its lease', [
    first,
    during(108, 110, acquire('a'), repeated(1)),
  ]),
  bad('one lock_id that is granted twice', [
    first,
    during(6, 7, release('a'), released(1)),
    during(8, 9, acquire('a'), granted(3)),
  ]),
  good('an unanswered acquisition that explains contention', [
    during(0, 5, acquire('a')),
    during(10, 12, acquire('b'), contention(7)),
    during(13, 14, acquire('c'), contention(7)),
  ]),
  bad('an unanswered acquisition with two tokens', [
    during(0, 5, acquire('a')),
    during(10, 12, acquire('b'), contention(7)),
    during(13, 14, acquire('c'), contention(8)),
  ]),
  bad('contention that nothing explains', [during(10, 12, acquire('b'), contention(7))]),
  good('an unanswered release that happened', [
    first,
    during(10, 11, release('a')),
    during(20, 21, acquire('b'), granted(3)),
  ]),
  good('an unanswered release that did not happen', [
    first,
    during(10, 11, release('a')),
    during(20, 21, append(1, 'k'), appended(3)),
  ]),
  bad('an unanswered release that happened and did not', [
    first,
    during(10, 11, release('a')),
    during(20, 21, acquire('b'), granted(3)),
    during(22, 23, append(1, 'k'), appended(4)),
  ]),
  bad('an unanswered release by a service that ended before it could happen', [
    first,
    during(20, 21, append(1, 'k'), appended(2)),
    { ...during(10, 11, release('a')), to: 15 },
    during(30, 31, acquire('b'), granted(3)),
  ]),
  good('an unanswered renewal that made the lease longer', [
    first,
    during(80, 81, renew('a')),
    during(150, 151, append(1, 'k'), appended(3)),
    during(160, 161, renew('a'), renewed(1, 2)),
  ]),
  bad('a renewal that is not counted', [
    first,
    during(20, 21, renew('a'), renewed(1, 1)),
    during(30, 31, renew('a'), renewed(1, 1)),
  ]),
  bad('a renewal of an expired lease', [first, during(110, 120, renew('a'), renewed(1))]),
  bad('a release that is late while the lease lasts', [first, during(20, 21, release('a'), released(1, true))]),
  bad('a lock that is not held by its holder', [first, during(20, 21, release('a'), { code: 'LOCK_NOT_HELD' })]),
  good('a command that was not applied', [
    first,
    during(20, 21, release('a'), { code: 'LEDGER_UNAVAILABLE' }),
    during(30, 31, acquire('b'), contention(1)),
  ]),
  bad('seqs of two locks that go back', [
    first,
    { ...during(10, 11, acquire('b'), granted(8)), name: 'resource:b' },
    during(20, 21, append(1, 'k'), appended(5)),
  ]),
  bad('a seq that two locks were given', [first, { ...during(0, 4, acquire('b'), granted(1)), name: 'resource:b' }]),
]
