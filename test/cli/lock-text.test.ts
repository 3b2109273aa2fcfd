import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { statusLines } from '../../src/cli/lock-text.ts'
import { timeText } from '../../src/cli/output.ts'

const text = suite('the text of a lock')

text('describes a file that no grant explains, and says what is unknown', () => {
  const file = {
    name: 'deliverable:DEL-08-05',
    kind: 'deliverable',
    state: 'orphan',
    orphan_reason: 'unreadable',
  } as const
  const seen = { holder: 'unreadable', holder_alive: 'unknown', lease_remaining_s: 0, pids: [] } as const
  equal(statusLines({ ...file, ...seen, pids: [], folder: 'DEL-08-05_x', waiting: 0, last_seq: null }), [
    'deliverable:DEL-08-05 is held by unreadable, an orphan: unreadable',
    'no token, acquired at an unknown time, lease expired',
    'processes none recorded; alive: unknown',
    'folder DEL-08-05_x',
  ])
})

text('does not contradict itself if a process outlives its lease', () => {
  const facts = { name: 'resource:reports', kind: 'resource', holder: 'TASK', token: 7, host: 'desk' } as const
  const lock = { ...facts, pids: [100] }
  const over = { state: 'orphan', orphan_reason: 'lease_expired', lease_remaining_s: 0, holder_alive: 'yes' } as const
  equal(statusLines({ ...lock, ...over, waiting: 0, last_seq: 7 }), [
    'resource:reports is held by TASK, an orphan: lease_expired',
    'token 7, acquired at an unknown time, lease expired',
    'processes 100 on desk; alive: yes, but its lease is over',
  ])
  const held = { state: 'held', lease_remaining_s: 60, holder_alive: 'yes' } as const
  equal(statusLines({ ...lock, ...held, waiting: 0, last_seq: 7 })[2], 'processes 100 on desk; alive: yes')
})

text('says how many wait, and who is first', () => {
  const lock = { name: 'resource:reports', kind: 'resource', state: 'held', holder: 'TASK', token: 7 } as const
  const first_waiting = { actor_id: 'agent-2', holder: 'draft of Ann' }
  const of = { ...lock, lease_remaining_s: 60, holder_alive: 'yes', last_seq: 7 } as const
  is(statusLines({ ...of, first_waiting, waiting: 3 }).at(-1), '3 waiting; first is draft of Ann (agent-2 [-])')
})

for (const [title, time, expected] of [
  ['in the past', '2026-02-02T11:58:59Z', '1 min 1 s ago'],
  ['that is near', '2026-02-03T11:00:00Z', 'in 23 h 0 min'],
  ['under a clock that was years ahead', '2099-01-01T00:00:00.000Z', 'at 2099-01-01T00:00:00.000Z'],
] as const) {
  text(`of a moment ${title} says when`, () => equal(timeText(time, Date.UTC(2026, 1, 2, 12)), expected))
}

text.run()
