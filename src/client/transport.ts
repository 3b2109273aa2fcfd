import type { OperationName } from '../api/call-facts.ts'
import type { CallOptions, Kind } from '../api/operation.ts'

/** An operation as a transport sees it. */
export interface RemoteOperation {
  name: OperationName
  kind: Kind
  /** The route of the service. */
  path: string
}

/** Carries calls to a service and their answers back. Every failure is a `LockstepError`. */
export interface Transport {
  ask(operation: RemoteOperation, input: object, options: CallOptions): Promise<unknown>
  /** The stream begins at the call, not when its first item is read. */
  follow(operation: RemoteOperation, input: object, options: CallOptions): AsyncIterable<unknown>
  /** Puts JSON Lines at a path. It is safe to repeat. */
  put(path: string, body: Uint8Array, options: CallOptions): Promise<unknown>
}
