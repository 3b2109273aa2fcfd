import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type Evidence,
  judgeHolder,
  judgeLiveness,
  type Liveness,
  type Probe,
} from '../../../src/domain/lock/liveness.ts'
import { fixture } from '../../merkle/model.ts'

interface Row {
  title: string
  evidence: Omit<Evidence, 'host' | 'pid'>
  probe: Probe
  /** When the holder was last known to live; null where that is not known. */
  seen_ms: number | null
  alive: string
  reason?: string
}

const test = suite('liveness')
const rows = fixture<Row[]>('lock/liveness.json')

for (const { title, evidence, probe, seen_ms, alive, reason } of rows) {
  test(`${title}: ${alive === 'no' ? `dead, ${reason}` : alive === 'yes' ? 'alive' : 'unknown'}`, () => {
    const verdict = judgeLiveness({ ...evidence, host: 'desk', pid: 100 }, probe, seen_ms ?? Number.NaN)
    assert.equal(verdict, reason === undefined ? { alive } : { alive, reason })
  })
}

test('a host is identified by its id, not by its name', () => {
  const [row] = rows
  if (row === undefined) throw new Error('no rows')
  const [here, renamed] = ['desk', 'renamed'].map((host) =>
    judgeLiveness({ ...row.evidence, host, pid: 1 }, row.probe, 0),
  )
  assert.equal(here, renamed)
})

const yes: Liveness = { alive: 'yes' }
const unknown: Liveness = { alive: 'unknown' }
const dead: Liveness = { alive: 'no', reason: 'pid_dead' }
const rebooted: Liveness = { alive: 'no', reason: 'host_rebooted' }

for (const [title, verdicts, expected] of [
  ['no process is recorded', [], unknown],
  ['its one process is dead', [dead], dead],
  ['both of its processes are dead', [rebooted, dead], rebooted],
  ['only the wrapper is dead', [dead, yes], yes],
  ['only the child is dead', [yes, dead], yes],
  ['one is dead and of the other nothing is known', [dead, unknown], unknown],
  ['one lives and of the other nothing is known', [unknown, yes], yes],
  ['nothing is known of either', [unknown, unknown], unknown],
] as const) {
  test(`a holder with several processes, of which ${title}: ${expected.alive}`, () =>
    assert.equal(judgeHolder(verdicts), expected))
}

test.run()
