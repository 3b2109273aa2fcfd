import type { Code } from '../../src/errors.ts'

/** What a caller asks of one lock. `lock` is the lock_id, which names an acquisition. */
export type Input =
  | { do: 'acquire'; lock: string; lease_ms: number; holder?: string }
  | { do: 'renew'; lock: string }
  | { do: 'release'; lock: string }
  | { do: 'append'; token: number; key: string }

/** The facts of an answer that the rules speak about. Without a code it is a success. */
export interface Answer {
  code?: Code
  /** The token of the caller's grant. */
  token?: number
  /** The seq of an appended entry. */
  seq?: number
  /** In a refusal: the token of the grant that is current; null if the lock is free. */
  current_token?: number | null
  current?: boolean
  late?: boolean
  renewals?: number
  replayed?: boolean
}

/**
 * One command, as its caller saw it. It took effect at one moment from `from` to `to`, in milliseconds on a clock that
 * all processes share. Without an answer it took effect once in that time or never; `to` is then Infinity unless the
 * service that received it is known to have ended.
 */
export interface Operation {
  name: string
  process: string
  from: number
  to: number
  input: Input
  answer?: Answer
}

/** Everything that callers saw, in any order, and when the processes died that some grants name as their holder. */
export interface History {
  operations: readonly Operation[]
  deaths: ReadonlyMap<string, number>
  /** Whether the service recovers expired locks by itself. */
  isSwept?: boolean
  /** Whether changes of the writer extend leases, so that they have no known end. */
  isExtended?: boolean
}

/** The seq that a successful command appended under; undefined for repeated answers and for commands without one. */
export function seqOf({ answer, input }: Operation): number | undefined {
  if (answer === undefined || answer.code !== undefined || answer.replayed) return undefined
  if (input.do === 'append') return answer.seq
  return input.do === 'acquire' ? answer.token : undefined
}
