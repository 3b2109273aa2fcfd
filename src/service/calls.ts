import { formOf, type TokenGrant } from '../api/operation.ts'
import { everyOperation, type Operation } from '../api/operations.ts'
import type { TraceContext } from '../kernel/trace.ts'
import type { LocalLedger } from '../ledger.ts'
import type { KnownCallOptions } from '../nouns/served.ts'
import { withEvidence } from '../writer/holders.ts'
import { parse } from '../writer/parse.ts'
import { type Caller, demandAuthority, demandGrant, demandLocalFacts, demandOneOf, withActor } from './caller.ts'
import { withKey } from './input.ts'
import { invalid } from './problem.ts'
import type { Rates } from './rates.ts'
import { inSpan } from './span.ts'

/** Every operation by its name `noun.verb`. */
export const operationsByName: ReadonlyMap<string, Operation> = new Map(
  everyOperation().map((operation) => [operation.name, operation]),
)

type Asked = (input: object, options: KnownCallOptions) => Promise<unknown>
type Followed = (input: object, options: { signal: AbortSignal }) => AsyncIterable<unknown>

interface Asking {
  caller: Caller
  signal?: AbortSignal | undefined
  trace: TraceContext | undefined
}

interface Request {
  caller: Caller
  input: unknown
  key?: string | undefined
  /** Whether the request is a line of a batch. */
  isLine?: boolean
}

/** Makes the calls of all routes: it checks who may do what, then calls the ledger, which checks the input. */
export class Calls {
  readonly #ledger: () => LocalLedger
  readonly #rates: Rates

  /** `ledger` is asked for each call: in a node it changes with the writer. */
  constructor(ledger: () => LocalLedger, rates: Rates) {
    this.#ledger = ledger
    this.#rates = rates
  }

  /** The input as the ledger is asked. Errors: INVALID_INPUT, FORBIDDEN, LOCK_PLACEMENT, RATE_LIMITED. */
  prepared(operation: Operation, { caller, input, isLine, key }: Request): object {
    const { facts, name } = operation
    if (typeof input !== 'object' || input === null || Array.isArray(input)) {
      throw invalid(`${name}: the input must be a JSON object`)
    }
    demandGrant(caller, operation, input)
    const asked = withActor(caller, facts, withKey(facts, input, key, isLine))
    demandAuthority(caller, operation, asked, this.#ledger())
    demandLocalFacts(caller, facts, asked)
    this.#rates.take(this.#nameOf(asked))
    return asked
  }

  /** Checks a request that is no operation, and counts it. Errors: FORBIDDEN, RATE_LIMITED. */
  admit({ actor, grants }: Caller, name: string, needed: readonly TokenGrant[]): void {
    demandOneOf(grants, name, needed)
    this.#rates.take(this.#nameOf({ actor }))
  }

  /** Whether a call may take long. An invalid input makes no call. */
  waits({ facts }: Operation, input: object): boolean {
    return facts.waits !== undefined && formOf(facts, input) !== undefined && facts.waits(input)
  }

  /** Asks the ledger for a caller. The signal ends a waiting call. Errors: those of the operation. */
  ask({ noun, verb }: Operation, input: object, { caller, signal, trace }: Asking): Promise<unknown> {
    const method = this.#method<Asked>(noun, verb)
    const { authn, evidence, place } = caller
    const isRemote = place.kind !== 'socket'
    const call = () => inSpan(`${noun}.${verb}`, trace, (own) => method(input, { authn, isRemote, signal, trace: own }))
    return evidence === undefined ? call() : withEvidence(evidence, call)
  }

  /** Follows a stream of the ledger. An invalid input is refused before the answer begins. Errors: INVALID_INPUT. */
  follow({ facts, name, noun, verb }: Operation, input: object, signal: AbortSignal): AsyncIterable<unknown> {
    const form = formOf(facts, input)
    if (form !== undefined) parse(form, input, name)
    return this.#method<Followed>(noun, verb)(input, { signal })
  }

  #method<Method>(noun: string, verb: string): Method {
    const methods = this.#ledger()[noun as keyof LocalLedger] as unknown as Record<string, Method>
    return methods[verb] as Method
  }

  /** The actor whose calls are counted. An input that names none, or a malformed one, counts as the service's own. */
  #nameOf(input: object): string {
    const { actor } = input as { actor?: { actor_id?: unknown } | null }
    return typeof actor?.actor_id === 'string' ? actor.actor_id.slice(0, 120) : 'the default actor'
  }
}
