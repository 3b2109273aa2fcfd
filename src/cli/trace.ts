import { type TraceContext, traceOf } from '../kernel/trace.ts'

/** The trace of this process, by the environment variables that tools of OpenTelemetry pass to their children. */
export function traceOfProcess(): TraceContext | undefined {
  const { TRACEPARENT, TRACESTATE } = process.env
  return traceOf(TRACEPARENT, TRACESTATE)
}
