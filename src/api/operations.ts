import type * as z from 'zod'
import type { Code } from '../errors.ts'
import type { Api } from './api.ts'
import { audit } from './audit.ts'
import { clock } from './clock.ts'
import { exports } from './exports.ts'
import { locks } from './locks.ts'
import { head, log } from './log.ts'
import type { AnyFacts, Kind, Operations, TokenGrant } from './operation.ts'
import { policy } from './policy.ts'
import { runs } from './runs.ts'
import { staging } from './staging.ts'
import { turns } from './turns.ts'
import { workspaces } from './workspaces.ts'

/**
 * The tables of all nouns. Loading them loads every schema. A module that needs one noun loads only the file of that
 * noun.
 */
export const operations: { readonly [Noun in keyof Api]: Operations<Api[Noun]> } = {
  audit,
  clock,
  exports,
  head,
  locks,
  log,
  policy,
  runs,
  staging,
  turns,
  workspaces,
}

/** One operation of the tables, by its name `noun.verb`. */
export interface Operation {
  facts: AnyFacts
  name: string
  noun: string
  verb: string
}

/** Every operation, in the order of the tables. */
export function everyOperation(): Operation[] {
  return Object.entries(operations).flatMap(([noun, table]) =>
    Object.entries<AnyFacts>(table).map(([verb, facts]) => ({ facts, name: `${noun}.${verb}`, noun, verb })),
  )
}

/** Codes that any operation of a kind can reject with: about the form of the input, the ledger, and the signal. */
export const sharedErrors: Readonly<Record<Kind, readonly Code[]>> = {
  query: onLedger(),
  stream: onLedger(),
  command: [...onLedger(), 'LIMIT_EXCEEDED', 'QUEUE_FULL', 'DISK_FULL'],
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
