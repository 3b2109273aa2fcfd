import { AsyncLocalStorage } from 'node:async_hooks'
import type { TraceContext } from '../kernel/trace.ts'

// A handler may submit several commands, and each entry of a call belongs to its trace. The trace travels beside the
// call, so that no handler has to pass it on. Node does nothing for it until the first call that has a trace.
const calls = new AsyncLocalStorage<TraceContext>()

/** Makes a call whose commands belong to a trace. */
export function withTrace<T>(trace: TraceContext, call: () => T): T {
  return calls.run(trace, call)
}

/** Does work that belongs to no call, such as the writing of a batch, which is begun by whichever call comes first. */
export function withoutTrace<T>(work: () => T): T {
  return calls.exit(work)
}

/** The trace of the call that is being made. */
export function traceOfCall(): TraceContext | undefined {
  return calls.getStore()
}
