import { resolve } from 'node:path'
import type { Api } from '../api/api.ts'
import { hintOf, membersOf, unwrapped } from '../api/hints.ts'
import { type AnyFacts, type Ask, type CallOptions, type Follow, formOf, formsOf } from '../api/operation.ts'
import { operations } from '../api/operations.ts'
import { LockstepError } from '../errors.ts'
import { codedError } from '../writer/coded-errors.ts'
import { parse } from '../writer/parse.ts'

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

/** What holds for every call of a ledger. */
export interface Ground {
  /** A relative path in an input means a path below this folder. */
  root: string
  /** Throws if the ledger takes no more calls. */
  assertOpen: () => void
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

type Method = (input: object, options: CallOptions) => unknown

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
  return (input: object = {}, options: CallOptions = {}): Promise<unknown> => {
    try {
      const checked = checkedInput(facts, input, name, ground)
      if (options.signal?.aborted) throw aborted(name)
      ground.assertOpen()
      return (handler(checked, options) as Promise<unknown>).catch(rethrow)
    } catch (error) {
      return Promise.reject(codedError(error, name))
    }
  }
}

/** A stream begins when it is asked for, not when its first item is read. */
function followed({ facts, ground, handler, name }: Call) {
  return (input: object = {}, options: CallOptions = {}) => {
    try {
      const checked = checkedInput(facts, input, name, ground)
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

/** The input with defaults filled in and absolute paths. Errors: INVALID_INPUT, naming the first invalid member. */
function checkedInput(facts: AnyFacts, input: object, name: string, { root }: Ground): object {
  const schema = formOf(facts, input)
  if (schema === undefined) {
    const members = [...formsOf(facts).keys()].join(', ')
    throw new LockstepError('INVALID_INPUT', `${name}: one of these members is required: ${members}`)
  }
  const checked = parse(schema, input, name) as Record<string, unknown>
  for (const member of pathsOf(schema)) {
    if (checked[member] !== undefined) checked[member] = resolve(root, String(checked[member]))
  }
  return checked
}

const pathsOfSchemas = new WeakMap<object, string[]>()

/** The members of an input that are paths. */
function pathsOf(schema: Parameters<typeof unwrapped>[0]): string[] {
  let paths = pathsOfSchemas.get(schema)
  if (paths === undefined) {
    const object = unwrapped(schema, 'input')
    paths = membersOf(object).flatMap(([member]) => (hintOf(object, member)?.path ? [member] : []))
    pathsOfSchemas.set(schema, paths)
  }
  return paths
}
