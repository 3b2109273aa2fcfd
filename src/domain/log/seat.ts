import * as z from 'zod'
import { defineAggregate, stream } from '../../kernel/aggregate.ts'
import { leaseClockSchema } from '../../kernel/clock.ts'
import type { Command, Context, Decision } from '../../kernel/decider.ts'
import type { Entry } from '../../kernel/entry.ts'
import { type SeatChange, withChange } from '../../kernel/seat-changes.ts'

/** The stream of the changes of the writer. */
export const seatStream = 'seat'

/**
 * The writer's seat has passed to a node. `epoch` fences every earlier writer. `system` and `timeline` name the history of the
 * database in which it counts.
 */
const taken = z.strictObject({
  epoch: z.int().min(1),
  lease_clock: leaseClockSchema,
  node: z.string().min(1).max(200),
  system: z.string().min(1).max(64),
  timeline: z.string().min(1).max(64),
})

type SeatEvent = { type: 'seat.taken'; stream: string; data: z.infer<typeof taken> }

/** The database in which the seat was last taken, and the changes of the writer that may still extend a lease. */
export interface SeatState {
  changes: readonly SeatChange[]
  node: string
  system: string
  timeline: string
}

/** Records that this node took the seat, unless it had it last. It is the first command of each writer. */
export interface TakeSeat extends Command {
  type: 'seat.take'
  data: Omit<z.infer<typeof taken>, 'lease_clock'>
}

/** The writer's seat: who had it when. A ledger in files has no such entries. */
export const seatAggregate = defineAggregate({
  commands: ['seat'],
  streams: { [seatStream]: stream<SeatState, unknown>({ evolve: evolveSeat }) },
  events: { 'seat.taken': taken },
  rendering: {
    'seat.taken': {
      action_type: 'system',
      outcome: 'success',
      severity: 'info',
      target: { target_type: 'system', name: { from: 'node' }, operation: 'seat.take' },
      outcome_reason: [],
    },
  },
  reads: (_command: TakeSeat) => [seatStream],
  decide: ({ data }: TakeSeat, { now }: Context, rows): Decision<SeatEvent> => {
    const { lease_clock } = now
    const before = rows.get(seatStream)?.state as SeatState | undefined
    const { epoch, node, system, timeline } = data
    const isSame = before?.node === node && before.system === system && before.timeline === timeline
    if (isSame) return { kind: 'append', events: [] }
    const recorded = { epoch, lease_clock, node, system, timeline }
    return { kind: 'append', events: [{ type: 'seat.taken', stream: seatStream, data: recorded }] }
  },
})

/** The state after a `seat.taken`. */
export function evolveSeat(state: SeatState | undefined, { data }: Pick<Entry, 'data'>): SeatState {
  const { lease_clock, node, system, timeline } = data as z.infer<typeof taken>
  const is_failover = state?.system !== system || state.timeline !== timeline
  const changes = withChange(state?.changes ?? [], { at_ms: lease_clock.boot_ms, is_failover })
  return { changes, node, system, timeline }
}
