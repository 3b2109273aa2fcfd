import { suite } from 'uvu'
import { equal } from 'uvu/assert'
import { statusLines } from '../../src/cli/lock-text.ts'

const text = suite('the text of a lock')

text('says of a file that no grant explains what is known of it, and that the rest is not', () => {
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

text.run()
