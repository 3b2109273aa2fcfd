import { defineAggregate, stream } from '../../kernel/aggregate.ts'
import { rowsOn } from '../../kernel/rendering.ts'
import { decide, reads, readsOfState } from './decide.ts'
import { lockEventSchemas } from './events.ts'
import { evolve } from './state.ts'
import { fromStored, toStored } from './stored.ts'

const lockStream = stream({ evolve, toStored, fromStored, keepsTexts: 'entry' })
const lockRow = rowsOn('lock', { from: 'name', otherwise: 'unknown' })

/**
 * Locks, each with its own stream; a grant of paths has a stream of its own. The end of a lock is rendered like the end of a run: failed work is a failure. A
 * refusal is a deny if permission was lacking, and a failure if the state did not allow the command.
 */
export const lockAggregate = defineAggregate({
  commands: ['lock'],
  streams: { lock: lockStream, path: lockStream },
  events: lockEventSchemas,
  rendering: {
    'lock.acquired': lockRow('lock.acquire', 'success', 'info', 'lock_reason'),
    'lock.renewed': lockRow('lock.renew', 'success', 'info'),
    'lock.judged': lockRow('lock.judge', 'success', 'info'),
    'lock.released': lockRow(
      'lock.release',
      { from: 'outcome' },
      { from: 'outcome', cases: { failure: 'warn' }, otherwise: 'info' },
      'reason',
      'final_status',
    ),
    'lock.recovered': lockRow('lock.recover', 'success', 'warn', 'recovery_reason'),
    'lock.broken': lockRow('lock.break', 'success', 'warn', 'reason'),
    'lock.lost': lockRow('lock.report_file', 'failure', 'error', 'found'),
    'lock.conflict': lockRow('lock.report_file', 'failure', 'error', 'aside'),
    'lock.file_restored': lockRow('lock.report_file', 'success', 'warn', 'folder'),
    'lock.file_set_aside': lockRow('lock.report_file', 'success', 'warn', 'reason'),
    'lock.retired': lockRow('lock.retire', 'success', 'info', 'reason'),
    'lock.refused': lockRow(
      { from: 'command' },
      { from: 'code', cases: { RELEASE_DENIED: 'deny', WRITE_SCOPE_DENIED: 'deny' }, otherwise: 'failure' },
      'warn',
      'code',
    ),
  },
  reads,
  readsOfState,
  decide,
})
