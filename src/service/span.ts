import { context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace as traces } from '@opentelemetry/api'
import { LockstepError } from '../errors.ts'
import { type TraceContext, traceOf } from '../kernel/trace.ts'

const tracer = traces.getTracer('lockstep')

/**
 * Makes a call in a span of OpenTelemetry. If the process has an SDK that records, the call belongs to its own span, a
 * child of the caller's. Without an SDK the call belongs to the caller's span, and nothing is recorded.
 */
export function inSpan<T>(
  name: string,
  parent: TraceContext | undefined,
  call: (own: TraceContext | undefined) => Promise<T>,
): Promise<T> {
  const within = parent === undefined ? ROOT_CONTEXT : traces.setSpanContext(ROOT_CONTEXT, remote(parent))
  const span = tracer.startSpan(name, { kind: SpanKind.SERVER }, within)
  if (!span.isRecording()) return call(parent)
  const { spanId, traceFlags, traceId } = span.spanContext()
  const flags = traceFlags.toString(16).padStart(2, '0')
  const own = traceOf(`00-${traceId}-${spanId}-${flags}`, parent?.tracestate)
  const called = context.with(traces.setSpan(within, span), () => call(own))
  return called
    .catch((error: unknown) => {
      // A refusal is an answer. Only an error of the service itself is an error of the span.
      if (error instanceof LockstepError) span.setAttribute('lockstep.code', error.code)
      else span.setStatus({ code: SpanStatusCode.ERROR })
      throw error
    })
    .finally(() => span.end())
}

function remote({ traceparent }: TraceContext) {
  const [, traceId = '', spanId = '', flags = '00'] = traceparent.split('-')
  return { isRemote: true, spanId, traceFlags: Number.parseInt(flags, 16), traceId }
}
