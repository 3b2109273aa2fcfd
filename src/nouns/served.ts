import { resolve } from 'node:path'
import type { Api } from '../api/api.ts'
import { hintOf, membersOf, unwrapped } from '../api/hints.ts'
import { type AnyFacts, type Ask, type CallOptions, type Follow, formOf, formsOf } from '../api/operation.ts'
import { operations } from '../api/operations.ts'
import { LockstepError } from '../errors.ts'
import { traceSchema } from '../kernel/entry.ts'
import { knownAs, type RecordedActor } from '../kernel/ids.ts'
import type { TraceContext } from '../kernel/trace.ts'
import { codedError } from '../writer/coded-errors.ts'
import { parse } from '../writer/parse.ts'
import { withTrace } from '../writer/trace.ts'

/**
 * Method syntax, because TypeScript compares the parameters of methods in both directions. A handler takes the result
 * of its operation's schema, which is narrower than the input: defaults are filled in.
 */
type Handler<Input, Answer> = { handle(input: Input, options: CallOptions): Answer }['handle']

/** The handlers of a noun: for each operation a method that takes the checked input and gives the answer. */
export type Handlers<Noun> = {
  readonly [Verb in keyof Noun]: Noun[Verb] extends Follow<infer Input, infer Item>
    ? Handler<NonNullable<Input>, AsyncIterable<Item>>
    : Noun[Verb] extends Ask<infer Input, infer Answer>
      ? Handler<NonNullable<Input>, Promise<Answer>>
      : never
}

/** The options of a call in this process. A caller in another process cannot send `authn`. */
export interface KnownCallOptions extends CallOptions {
  /** How the caller is known. Default: as the default actor is. */
  authn?: string | undefined
  /** Whether the caller is on another machine, so that files which it names are not those of this one. */
  isRemote?: boolean | undefined
}

/** What holds for every call of a ledger. */
export interface Ground {
  /** The default actor of every call. */
  actor: RecordedActor
  /** A relative path in an input means a path below this folder. */
  root: string
  /** Throws if the ledger takes no more calls. */
  assertOpen: () => void
  /** Throws if the ledger takes no more commands, because it goes on in another place. */
  assertNotSealed: () => void
}

/**
 * The operations of a noun. This is the one place where an input is checked against the schema of its operation; the
 * handlers rely on it. Errors reject the promise or the stream, and each has a code.
 */
export function served<Noun extends keyof Api>(noun: Noun, handlers: Handlers<Api[Noun]>, ground: Ground): Api[Noun] {
  const methods = Object.entries<AnyFacts>(operations[noun]).map(([verb, facts]) => {
    const handler = (handlers as unknown as Record<string, Method>)[verb] as Method
    const call: Call = { facts, ground, handler: handler.bind(handlers), name: `${noun}.${verb}` }
    return [verb, facts.kind === 'stream' ? followed(call) : asked(call)]
  })
  return Object.fromEntries(methods) as Api[Noun]
}

type Method = (input: object, options: KnownCallOptions) => unknown

interface Call {
  facts: AnyFacts
  ground: Ground
  handler: Method
  name: string
}

/** Not an async function: its frame would live for as long as the call, which thousands of waiting callers notice. */
function asked({ facts, ground, handler, name }: Call) {
  const rethrow = (error: unknown) => {
    throw codedError(error, name)
  }
  return (input: object = {}, options: KnownCallOptions = {}): Promise<unknown> => {
    try {
      const checked = checkedInput({ facts, ground, name }, input, options)
      if (options.signal?.aborted) throw aborted(name)
      ground.assertOpen()
      if (facts.kind === 'command' && facts.isForSealed === undefined) ground.assertNotSealed()
      const { trace } = options
      const answer =
        trace === undefined ? handler(checked, options) : inTrace(trace, name, () => handler(checked, options))
      return (answer as Promise<unknown>).catch(rethrow)
    } catch (error) {
      return Promise.reject(codedError(error, name))
    }
  }
}

/** Errors: INVALID_INPUT. */
function inTrace<T>(trace: TraceContext, name: string, call: () => T): T {
  const { traceparent, tracestate } = parse(traceSchema, trace, `${name}: trace`)
  return withTrace(tracestate === undefined ? { traceparent } : { traceparent, tracestate }, call)
}

/** A stream begins when it is asked for, not when its first item is read. */
function followed({ facts, ground, handler, name }: Call) {
  return (input: object = {}, options: CallOptions = {}) => {
    try {
      const checked = checkedInput({ facts, ground, name }, input, options)
      ground.assertOpen()
      const items = handler(checked, options) as AsyncIterable<unknown>
      return codedStream(() => items, name)
    } catch (error) {
      return codedStream(() => {
        throw error
      }, name)
    }
  }
}

/** The operations of a noun for a handler that makes further calls for its caller, who is known as before. */
export function callsFor<Noun extends object>(noun: Noun, actor: RecordedActor | undefined): Noun {
  const claim = actor && { actor: knownAs(actor, undefined) }
  const known = Object.entries<Method>(noun as never).map(([verb, method]) => {
    return [verb, (input: object) => method({ ...input, ...claim }, { authn: actor?.authn })]
  })
  return Object.fromEntries(known) as Noun
}

async function* codedStream(itemsOf: () => AsyncIterable<unknown>, name: string): AsyncGenerator<unknown> {
  try {
    yield* itemsOf()
  } catch (error) {
    throw codedError(error, name)
  }
}

/** Ends a stream with ABORTED when its signal aborts. A stream that has an end is never cut short without an error. */
export async function* untilAborted<T>(items: AsyncIterable<T>, { signal }: CallOptions): AsyncGenerator<T> {
  for await (const item of items) {
    if (signal?.aborted) throw aborted('stream')
    yield item
  }
}

function aborted(name: string): LockstepError {
  return new LockstepError('ABORTED', `${name}: the caller's signal has aborted`)
}

/**
 * The input with defaults filled in, absolute paths, and the caller's actor with how the caller is known. Errors:
 * INVALID_INPUT, naming the first invalid member.
 */
function checkedInput(
  { facts, ground, name }: Omit<Call, 'handler'>,
  input: object,
  options: KnownCallOptions,
): object {
  const schema = formOf(facts, input)
  if (schema === undefined) {
    const members = [...formsOf(facts).keys()].join(', ')
    throw new LockstepError('INVALID_INPUT', `${name}: one of these members is required: ${members}`)
  }
  const checked = parse(schema, input, name) as Record<string, unknown>
  const { hasActor, paths } = membersToComplete(schema)
  for (const member of paths) {
    if (checked[member] !== undefined) checked[member] = resolve(ground.root, String(checked[member]))
  }
  // The schema refuses `authn` in an input, so what is recorded of it always comes from here.
  const authn = options.authn ?? ground.actor.authn
  if (hasActor && authn !== undefined) {
    const { actor = ground.actor } = checked as { actor?: RecordedActor }
    checked.actor = knownAs(actor, authn)
  }
  return checked
}

interface ToComplete {
  hasActor: boolean
  paths: string[]
}
const toComplete = new WeakMap<object, ToComplete>()

/** The members of an input that are completed after the check: its paths, and its actor. */
function membersToComplete(schema: Parameters<typeof unwrapped>[0]): ToComplete {
  let found = toComplete.get(schema)
  if (found === undefined) {
    const object = unwrapped(schema, 'input')
    const members = membersOf(object).map(([member]) => member)
    found = { hasActor: members.includes('actor'), paths: members.filter((member) => hintOf(object, member)?.path) }
    toComplete.set(schema, found)
  }
  return found
}
