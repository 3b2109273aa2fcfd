import { resolve } from 'node:path'
import type { Api } from './api/api.ts'
import { hintOf, membersOf, unwrapped } from './api/hints.ts'
import type { AnyFacts, Ask, CallOptions, Follow } from './api/operation.ts'
import { formOf, formsOf, operations } from './api/operations.ts'
import type { Grant } from './api/shapes/locks.ts'
import { LockstepError } from './errors.ts'
import type { Ledger } from './ledger.ts'
import type { GrantFacts } from './nouns/locks/lease.ts'
import { parse } from './writer/parse.ts'

/**
 * The operations of a ledger that is open in this process. The tables are walked: each input is checked against the
 * schema of its operation, and the method of the same name is called. If a method of `Ledger` has another shape than
 * its operation, a bridge translates between them. A bridge can be removed once the method has the shape of its
 * operation.
 */
export function inProcess(ledger: Ledger): Api {
  const nouns = Object.entries(operations).map(([noun, table]) => {
    const verbs = Object.entries<AnyFacts>(table).map(([verb, facts]) => [
      verb,
      methodOf(ledger, { facts, noun, verb }),
    ])
    return [noun, Object.fromEntries(verbs)]
  })
  return Object.fromEntries(nouns) as Api
}

interface Named {
  facts: AnyFacts
  noun: string
  verb: string
}

type Call = (ledger: Ledger, input: object, options: CallOptions) => unknown

/** A method of the interface. Errors reject its promise or its stream; it never throws synchronously. */
function methodOf(ledger: Ledger, named: Named): (input?: object, options?: CallOptions) => unknown {
  const { facts, noun, verb } = named
  const bridge = (bridges as Record<string, Record<string, Call>>)[noun]?.[verb]
  const call: Call = bridge ?? ((of, input) => (direct(of) as Record<string, Methods>)[noun]?.[verb]?.(input))
  if (facts.kind === 'stream') {
    return async function* (input = {}, options = {}) {
      const asked = checked(ledger, named, input)
      ledger.head()
      yield* call(ledger, asked, options) as AsyncIterable<unknown>
    }
  }
  return async (input = {}, options = {}) => {
    const asked = checked(ledger, named, input)
    if (options.signal?.aborted) throw aborted(named)
    // Not every method checks that the ledger is still open; `head` does.
    ledger.head()
    return call(ledger, asked, options)
  }
}

type Methods = Record<string, (input: object) => unknown>

/**
 * The input for the method: checked, without undefined members, and with absolute paths. A relative path means the
 * ledger's root, not the working directory. Errors: INVALID_INPUT.
 */
function checked(ledger: Ledger, { facts, noun, verb }: Named, input: object): object {
  const what = `${noun}.${verb}`
  const schema = formOf(facts, input)
  if (schema === undefined) {
    const members = [...formsOf(facts).keys()].join(', ')
    throw new LockstepError('INVALID_INPUT', `${what}: one of these members is required: ${members}`)
  }
  parse(schema, input, what)
  const object = unwrapped(schema, 'input')
  const paths = new Set(membersOf(object).flatMap(([name]) => (hintOf(object, name)?.path ? [name] : [])))
  const members = Object.entries(input).filter(([, value]) => value !== undefined)
  return Object.fromEntries(
    members.map(([name, value]) => [name, paths.has(name) ? resolve(ledger.dir, String(value)) : value]),
  )
}

function aborted({ noun, verb }: Pick<Named, 'noun' | 'verb'>): LockstepError {
  return new LockstepError('ABORTED', `${noun}.${verb}: the caller's signal has aborted`)
}

/** Calls a method of `Ledger` with the input and the answer of the operation. */
type Bridge<Method> =
  Method extends Follow<infer Input, infer Item>
    ? (ledger: Ledger, input: NonNullable<Input>, options: CallOptions) => AsyncIterable<Item>
    : Method extends Ask<infer Input, infer Answer>
      ? (ledger: Ledger, input: NonNullable<Input>, options: CallOptions) => Answer | Promise<Answer>
      : never

type Bridges = { readonly [Noun in keyof Api]?: { readonly [Verb in keyof Api[Noun]]?: Bridge<Api[Noun][Verb]> } }

const bridges = {
  audit: {
    append: (ledger, { events, ...options }) => ledger.audit.append(events, options),
  },
  head: {
    get: (ledger) => ledger.head(),
    signed: (ledger, { size }) => ledger.signedHead(size),
  },
  locks: {
    acquire: async (ledger, input, { signal }) => {
      if ('target_name' in input) return plain(await ledger.locks.acquire(input))
      if ('folder' in input) return plain(await ledger.locks.acquire({ ...input, signal }))
      // Only the caller knows which processes hold the lock, so no processes are assumed if none are named.
      const { pids = [] } = input
      return plain(await ledger.locks.acquire({ ...input, pids, signal }))
    },
    acquireAll: async (ledger, { pids = [], ...input }) => {
      const leases = await ledger.locks.acquireAll({ ...input, pids })
      return { grants: leases.map(plain) }
    },
    history: async (ledger, { name, ...options }) => ({ entries: await ledger.locks.history(name, defined(options)) }),
    list: async (ledger, input) => ({ locks: await ledger.locks.list(defined(input)) }),
    status: (ledger, { name }) => ledger.locks.status(name),
    unknownFiles: async (ledger) => ({ files: await ledger.locks.unknownFiles() }),
  },
  log: {
    consistency: (ledger, { from, to }) => ledger.consistency(from, to),
    entry: (ledger, { seq }) => ledger.entry(seq),
    prove: (ledger, { seq, size }) => ledger.prove(seq, size),
    read: (ledger, input, options) => untilAborted(ledger.read(input), 'read', options),
    subscribe: (ledger, input, { signal }) => ledger.subscribe({ ...input, signal }),
    verify: (ledger) => ledger.verify(),
  },
  policy: {
    explain: async (ledger, input) => {
      const { missing, rule_ids, ...verdict } = await ledger.policy.explain(input)
      return { ...verdict, missing: [...missing], rule_ids: [...rule_ids] }
    },
  },
  runs: {
    get: (ledger, { run_id }) => ledger.runs.get(run_id),
    tree: (ledger, { run_id }) => ledger.runs.tree(run_id),
    why: async (ledger, { run_id }) => {
      const { moves, ...why } = await ledger.runs.why(run_id)
      return { ...why, moves: [...moves] }
    },
  },
  staging: {
    folder: (ledger, input) => ({ folder: ledger.staging.folder(input) }),
  },
  workspaces: {
    files: async (ledger) => ({ files: await ledger.workspaces.files() }),
    object: (ledger, { digest }) => ledger.workspaces.object(digest),
    refs: (ledger, input, options) => untilAborted(ledger.workspaces.refs(input), 'refs', options),
    triplets: (ledger, input, options) => untilAborted(ledger.workspaces.triplets(input), 'triplets', options),
  },
} satisfies Bridges

type Unbridged<Noun extends keyof Api> = Exclude<
  keyof Api[Noun],
  Noun extends keyof typeof bridges ? keyof (typeof bridges)[Noun] : never
>
type Direct = {
  readonly [Noun in Exclude<keyof Api, 'head' | 'log'>]: {
    readonly [Verb in Unbridged<Noun>]: Bridge<Api[Noun][Verb]> extends (ledger: Ledger, ...rest: infer Rest) => infer R
      ? (input: Rest[0]) => R
      : never
  }
}

/**
 * The methods without a bridge have the shape of their operations, apart from being asynchronous. The types check this.
 */
function direct(ledger: Ledger): Direct {
  return ledger
}

/** The facts of a lease without its methods: these are made on the caller's side. */
function plain(lease: GrantFacts): Grant {
  return { ...lease }
}

function defined<T extends object>(input: T): { [Member in keyof T]: Exclude<T[Member], undefined> } {
  return input as { [Member in keyof T]: Exclude<T[Member], undefined> }
}

/** A stream that has an end is never cut short without an error. */
async function* untilAborted<T>(items: AsyncIterable<T>, verb: string, { signal }: CallOptions): AsyncGenerator<T> {
  for await (const item of items) {
    if (signal?.aborted) throw aborted({ noun: 'stream', verb })
    yield item
  }
}
