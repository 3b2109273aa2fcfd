import type { Api } from './api.ts'
import { audit } from './audit.ts'
import { clock } from './clock.ts'
import { config } from './config.ts'
import { erasures } from './erasures.ts'
import { exports } from './exports.ts'
import { keys } from './keys.ts'
import { locks } from './locks.ts'
import { head, log } from './log.ts'
import type { AnyFacts, Operations } from './operation.ts'
import { policy } from './policy.ts'
import { retention } from './retention.ts'
import { runs } from './runs.ts'
import { staging } from './staging.ts'
import { tokens } from './tokens.ts'
import { turns } from './turns.ts'
import { workspaces } from './workspaces.ts'

/**
 * The tables of all nouns. Loading them loads every schema. A module that needs one noun loads only the file of that
 * noun.
 */
export const operations: { readonly [Noun in keyof Api]: Operations<Api[Noun]> } = {
  audit,
  clock,
  config,
  erasures,
  exports,
  head,
  keys,
  locks,
  log,
  policy,
  retention,
  runs,
  staging,
  tokens,
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
