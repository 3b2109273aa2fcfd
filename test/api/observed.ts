import { ok } from 'uvu/assert'
import type { Api } from '../../src/api/api.ts'
import { type AnyFacts, type CallOptions, errorsOf } from '../../src/api/operation.ts'
import { operations } from '../../src/api/operations.ts'
import { type Code, LockstepError } from '../../src/errors.ts'

/** What calls of one operation came to. */
export interface Observed {
  /** The input of the last call that succeeded; of a stream, of the last one that gave an item. */
  input?: object
  codes: Set<Code>
}

type Method = (input?: object, options?: CallOptions) => unknown

/**
 * The same ledger with every call held to its table: inputs and answers are plain data, answers fit the output schema,
 * and a call rejects with a code of its table only. Everything that was seen is noted by the operation's name.
 */
export function observed(api: Api, seen: Map<string, Observed>): Api {
  const nouns = Object.entries(operations).map(([noun, table]) => {
    const methods = Object.entries<AnyFacts>(table).map(([verb, facts]) => {
      const name = `${noun}.${verb}`
      const note = seen.get(name) ?? { codes: new Set() }
      seen.set(name, note)
      const method = (api as unknown as Record<string, Record<string, Method>>)[noun]?.[verb] as Method
      return [verb, facts.kind === 'stream' ? streamed(method, facts, name, note) : asked(method, facts, name, note)]
    })
    return [noun, Object.fromEntries(methods)]
  })
  return Object.fromEntries(nouns) as Api
}

function asked(method: Method, facts: AnyFacts, name: string, note: Observed): Method {
  return async (input, options) => {
    isPlain(without(input), `${name}: the input`)
    try {
      const answer = await method(input, options)
      fits(facts, answer, name)
      note.input = input ?? {}
      return answer
    } catch (error) {
      throw listed(facts, error, name, note)
    }
  }
}

function streamed(method: Method, facts: AnyFacts, name: string, note: Observed): Method {
  return async function* (input, options) {
    isPlain(without(input), `${name}: the input`)
    try {
      for await (const item of method(input, options) as AsyncIterable<unknown>) {
        fits(facts, item, name)
        note.input = input ?? {}
        yield item
      }
    } catch (error) {
      throw listed(facts, error, name, note)
    }
  }
}

function fits(facts: AnyFacts, answer: unknown, name: string): void {
  isPlain(answer, `${name}: the answer`)
  const parsed = facts.output.safeParse(answer)
  ok(parsed.success, `${name}: the answer does not fit its schema: ${parsed.error?.message} ${JSON.stringify(answer)}`)
}

/** Where a value is something that JSON does not carry as it is: a class, a function, a member that is undefined. */
function unplainIn(value: unknown, path = ''): string | undefined {
  if (value === null || ['boolean', 'string'].includes(typeof value) || Number.isFinite(value)) return undefined
  const prototype = typeof value === 'object' ? Object.getPrototypeOf(value) : undefined
  if (![Array.prototype, Object.prototype, null].includes(prototype)) return path === '' ? 'the whole' : path
  for (const [name, member] of Object.entries(value as object)) {
    const found = unplainIn(member, `${path}/${name}`)
    if (found !== undefined) return found
  }
  return undefined
}

function isPlain(value: unknown, what: string): void {
  const where = unplainIn(value)
  ok(where === undefined, `${what} is not plain data at ${where}`)
}

/** An input without members that are undefined: these say nothing. */
function without(input: object = {}): object {
  return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined))
}

function listed(facts: AnyFacts, error: unknown, name: string, note: Observed): unknown {
  if (!(error instanceof LockstepError)) return error
  ok(
    errorsOf(facts).includes(error.code),
    `${name} rejected with ${error.code}, which its table does not list: ${error.message}`,
  )
  note.codes.add(error.code)
  return error
}
