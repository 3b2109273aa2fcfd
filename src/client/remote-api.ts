import { randomUUID } from 'node:crypto'
import type { Api } from '../api/api.ts'
import { type OperationName, takesActor, takesKey } from '../api/call-facts.ts'
import { kinds } from '../api/kinds.ts'
import type { CallOptions, Kind } from '../api/operation.ts'
import { pathOf } from '../api/wire.ts'
import { LockstepError } from '../errors.ts'
import type { Actor } from '../kernel/ids.ts'
import { isTrace } from '../kernel/trace.ts'
import { askWithProposal, hasProposal } from './proposals.ts'
import type { RemoteOperation, Transport } from './transport.ts'

/**
 * All operations of the ledger of a service. It adds to each input what belongs to the caller: the actor of the
 * connection, and an id that makes the command safe to repeat.
 */
export function remoteApi(transport: Transport, { actor }: { actor?: Actor | undefined } = {}): Api {
  const nouns = Object.entries(kinds).map(([noun, verbs]) => {
    const methods = Object.entries<Kind>(verbs).map(([verb, kind]) => {
      const operation = { name: `${noun}.${verb}` as OperationName, kind, path: pathOf(noun, verb) }
      const follow = (input: object = {}, options: CallOptions = {}) => transport.follow(operation, input, options)
      // Not an async function: its frame would live for as long as the call.
      const ask = (input: object = {}, options: CallOptions = {}) => {
        if (!isObject(input)) return Promise.reject(noObject(operation.name))
        if (options.trace !== undefined && !isTrace(options.trace)) return Promise.reject(noTrace(operation.name))
        const asked = completed(operation, input, actor)
        if (hasProposal(operation)) return askWithProposal(transport, operation, { input: asked, options })
        return transport.ask(operation, asked, options)
      }
      return [verb, kind === 'stream' ? follow : ask]
    })
    return [noun, Object.fromEntries(methods)]
  })
  return Object.fromEntries(nouns) as Api
}

/**
 * Whether a call may be sent again after its answer was lost: a query changes nothing, and the ledger recognises a
 * repeated command by its key or lock_id.
 */
export function isRepeatable({ kind }: Pick<RemoteOperation, 'kind'>, input: object): boolean {
  const given = input as Readonly<Record<string, unknown>>
  // A member without a value is not sent.
  return kind !== 'command' || ['idempotency_key', 'lock_id', 'lock_ids'].some((member) => given[member] !== undefined)
}

/** A copy of an input with the members that belong to the caller. Members that the input has are kept. */
export function completed({ kind, name }: RemoteOperation, input: object, actor: Actor | undefined): object {
  const asked: Record<string, unknown> = { ...input }
  if (asked.actor === undefined && actor !== undefined && takesActor(name, kind, input)) asked.actor = actor
  if (asked.idempotency_key === undefined && takesKey(name, kind)) asked.idempotency_key = randomUUID()
  // The lock of a project has no lock_id: its run_id is its key.
  if (name === 'locks.acquire' && asked.target_name === undefined) asked.lock_id ??= newLockId()
  if (name === 'locks.acquireAll' && Array.isArray(asked.names)) asked.lock_ids ??= asked.names.map(newLockId)
  return asked
}

function newLockId(): string {
  return `lck_${randomUUID()}`
}

function isObject(input: unknown): boolean {
  return typeof input === 'object' && input !== null && !Array.isArray(input)
}

function noTrace(name: string): LockstepError {
  return new LockstepError('INVALID_INPUT', `${name}: trace: must have a valid traceparent and tracestate`)
}

function noObject(name: string): LockstepError {
  return new LockstepError('INVALID_INPUT', `${name}: the input must be an object`)
}
