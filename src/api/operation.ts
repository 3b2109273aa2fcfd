import type * as z from 'zod'
import type { Code } from '../errors.ts'
import type { TraceContext } from '../kernel/trace.ts'
import type { tokenGrants } from '../kernel/vocabulary.ts'

/** The options of a call besides its input. */
export interface CallOptions {
  /** Aborts a waiting call or a stream. A call is not made if its signal has already aborted. Errors: ABORTED. */
  signal?: AbortSignal | undefined
  /** The distributed trace that the call belongs to. Each entry that the call appends keeps it. */
  trace?: TraceContext | undefined
}

/** A command or a query: one input, one answer. Input and answer are plain data that JSON can carry. */
export type Ask<Input, Answer> = (input: Input, options?: CallOptions) => Promise<Answer>

/** A stream: one input, items until the stream ends or the caller stops reading. */
export type Follow<Input, Item> = (input: Input, options?: CallOptions) => AsyncIterable<Item>

/** A command may append entries or change files; a query does neither; a stream is a query with many answers. */
export type Kind = 'command' | 'query' | 'stream'

/**
 * What a token may grant its bearer: to use its own locks and runs, to release project locks, or to operate the
 * ledger. A caller has a set of them; no grant implies another.
 */
export type TokenGrant = (typeof tokenGrants)[number]

/** The grants of an operation that every caller with a token may use. */
export const anyGrant: readonly TokenGrant[] = ['agent', 'authority', 'operator']

/** The grants for the objects of the service, which are no operations. Any one of them is enough. */
export const objectGrants: Readonly<Record<'GET' | 'PUT', readonly TokenGrant[]>> = {
  GET: anyGrant,
  PUT: ['agent', 'operator'],
}

/** Different forms of one input, each with its schema. The member that is present chooses the form. */
export type Forms<Input> = { readonly [member: string]: z.ZodType<unknown, Input> }

/** All facts about an operation that do not depend on the server. */
export interface Facts<K extends Kind, Input, Answer> {
  kind: K
  /** One sentence, for help texts and the reference. */
  summary: string
  input: z.ZodType<unknown, Input> | Forms<Input>
  /** Of a stream: one item. */
  output: z.ZodType<Answer>
  /** Codes that this operation can reject with, besides those of every operation of its kind (`errorsOf`). */
  errors: readonly Code[]
  /** Any one of these grants is enough. Where forms differ, the grants of each form. */
  grants: readonly TokenGrant[] | { readonly [member: string]: readonly TokenGrant[] }
  /**
   * Whether the call may release the lock of a project when the release authority makes it. It then needs the grant
   * `authority`, whatever other grants are enough for other actors.
   */
  mayReleaseProject?(input: Input): boolean
  /** Whether the call records that a rule was set aside. It then needs the grant `authority` or `operator`. */
  mayOverride?(input: Input): boolean
  /** The role that the caller needs. The bearer of a token must have it. */
  roleFor?(input: Input): string
  /** Whether a sealed ledger takes the command too, because it appends nothing to it. */
  isForSealed?: true
  /** Whether the call may take long, so that it is never sent in a batch with others. */
  waits?(input: Input): boolean
}

/** The table of a noun: for each method of its interface the facts about that operation. */
export type Operations<Noun> = {
  readonly [Verb in keyof Noun]: Noun[Verb] extends Follow<infer Input, infer Item>
    ? Facts<'stream', NonNullable<Input>, Item>
    : Noun[Verb] extends Ask<infer Input, infer Answer>
      ? Facts<'command' | 'query', NonNullable<Input>, Answer>
      : never
}

/** The facts about any operation, for code that walks the tables. */
export type AnyFacts = Facts<Kind, unknown, unknown>

/** Codes that any operation of a kind can reject with: about the form of the input, the ledger, and the signal. */
export const sharedErrors: Readonly<Record<Kind, readonly Code[]>> = {
  query: onLedger(),
  stream: onLedger(),
  command: [...onLedger(), 'LEDGER_FORKED', 'LEDGER_SEALED', 'LIMIT_EXCEEDED', 'QUEUE_FULL', 'DISK_FULL'],
}

function onLedger(): Code[] {
  return [
    'INVALID_INPUT',
    'ABORTED',
    'LEDGER_CLOSED',
    'LEDGER_MOVED',
    'LEDGER_UNAVAILABLE',
    'LEDGER_CORRUPT',
    'INVARIANT_VIOLATED',
  ]
}

/** Every code that an operation can reject with. */
export function errorsOf({ errors, kind }: Pick<AnyFacts, 'errors' | 'kind'>): Code[] {
  return [...new Set([...errors, ...sharedErrors[kind]])]
}

/** The forms of an operation's input by the member that chooses them; an input of one form has the name ''. */
export function formsOf({ input }: Pick<AnyFacts, 'input'>): Map<string, z.ZodType> {
  return isSchema(input) ? new Map([['', input]]) : new Map(Object.entries<z.ZodType>(input))
}

/** The schema that an input is to be parsed with; undefined if no member of it chooses a form. */
export function formOf({ input: forms }: Pick<AnyFacts, 'input'>, input: unknown): z.ZodType | undefined {
  if (isSchema(forms)) return forms
  const chosen = Object.keys(forms).find((member) => isGiven(input, member))
  return chosen === undefined ? undefined : forms[chosen]
}

function isGiven(input: unknown, member: string): boolean {
  return Object.hasOwn(Object(input), member) && (input as Record<string, unknown>)[member] !== undefined
}

/** The grants that one form of an operation asks for. */
export function grantsOf({ grants }: Pick<AnyFacts, 'grants'>, form: string): readonly TokenGrant[] {
  return isList(grants) ? grants : (grants[form] ?? [])
}

function isList(grants: AnyFacts['grants']): grants is readonly TokenGrant[] {
  return Array.isArray(grants)
}

function isSchema(input: AnyFacts['input']): input is z.ZodType {
  return '_zod' in input
}
