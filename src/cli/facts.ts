import type { Api } from '../api/api.ts'
import type { OperationName } from '../api/call-facts.ts'
import type { Ask, Follow, Kind } from '../api/operation.ts'
import type { Code } from '../errors.ts'
import facts from './facts.json' with { type: 'json' }

type MethodOf<Call extends OperationName> = Call extends `${infer Noun extends keyof Api}.${infer Verb}`
  ? Verb extends keyof Api[Noun]
    ? Api[Noun][Verb]
    : never
  : never
export type InputOf<Call extends OperationName> =
  MethodOf<Call> extends Ask<infer Input, unknown> | Follow<infer Input, unknown> ? NonNullable<Input> : never
/** The answer of an operation; of a stream, one item. */
export type AnswerOf<Call extends OperationName> =
  MethodOf<Call> extends Follow<never, infer Item>
    ? Item
    : MethodOf<Call> extends Ask<never, infer Answer>
      ? Answer
      : never

/** What the command needs to know about an operation. Schemas would take more time to load than a command takes. */
export interface CallFacts {
  kind: Kind
  summary: string
  /** Every code that it can reject with. */
  errors: readonly Code[]
  /** The members of each form of the input; an input of one form has the name ''. */
  forms: Readonly<Record<string, readonly Member[]>>
}

/** The type of a value, as far as a command line has a form for it. */
export interface Value {
  type: 'boolean' | 'list' | 'number' | 'object' | 'other' | 'text'
  /** The closed list of texts. */
  choices?: readonly string[]
  /** Bounds of a number. */
  min?: number
  max?: number
  /** Of a list. */
  element?: Value
  /** Of an object. */
  members?: readonly Member[]
}

/** A member of an input, with its hint. */
export interface Member extends Value {
  name: string
  about: string
  flag?: string
  unit?: string
  isPath?: boolean
  isOptional?: boolean
  default?: unknown
}

/** From the tables of operations, by `npm run contract`. */
export function factsOf(call: OperationName): CallFacts {
  return (facts as unknown as Record<OperationName, CallFacts>)[call]
}
