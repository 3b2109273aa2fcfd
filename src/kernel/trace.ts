/**
 * Where a call belongs in a distributed trace: the values of the headers `traceparent` and `tracestate` (W3C Trace
 * Context). An entry keeps them verbatim.
 */
export interface TraceContext {
  traceparent: string
  tracestate?: string | undefined
}

/** Version 00 of the header. Ids of zeros are invalid. */
export const traceparentForm = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/
export const tracestateForm = /^[ -~]{1,512}$/

/** Whether both values are valid. */
export function isTrace({ traceparent, tracestate }: TraceContext): boolean {
  return traceparentForm.test(traceparent) && (tracestate === undefined || tracestateForm.test(tracestate))
}

/**
 * The trace that two headers, or two environment variables, name. Undefined if it is missing or
 * invalid: the standard says that a call with an invalid trace is a call without a trace.
 */
export function traceOf(traceparent: string | undefined, tracestate: string | undefined): TraceContext | undefined {
  if (traceparent === undefined || !traceparentForm.test(traceparent)) return undefined
  return tracestate !== undefined && tracestateForm.test(tracestate) ? { traceparent, tracestate } : { traceparent }
}
