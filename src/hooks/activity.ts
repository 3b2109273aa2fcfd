/** From when to when an agent edited a file, or ran a command. */
interface Span {
  actor_id: string
  from: number
  /** Infinite while it lasts. */
  to: number
}

const spansMax = 5_000
/** Not every harness tells of the end of a tool that failed. After this time it counts as ended. */
const spanMillisMax = 600_000
/** The clock of a file system can be behind the wall clock by a tick of the kernel. */
const tickMillis = 20

/**
 * When agents edited and ran commands. A file that one agent holds and changes itself can change while a command of
 * another agent runs: that change is not the command's.
 */
export class Activity {
  readonly #spans: Span[] = []

  /** Notes the beginning of an edit or a command. The result ends it. */
  begin(actor_id: string): () => void {
    const span = { actor_id, from: Date.now(), to: Number.POSITIVE_INFINITY }
    this.#spans.push(span)
    if (this.#spans.length > spansMax) this.#spans.shift()
    return () => {
      span.to = Date.now()
    }
  }

  /** Whether an agent edited or ran a command at some moment of a time. */
  was(actor_id: string, from: number, to: number): boolean {
    return this.#spans.some((span) => {
      return (
        span.actor_id === actor_id &&
        span.from - tickMillis <= to &&
        from <= Math.min(span.to, span.from + spanMillisMax) + tickMillis
      )
    })
  }
}

/** Whether something changed at or after a moment. */
export function isSince(millis: number, from: number): boolean {
  return millis >= from - tickMillis
}
