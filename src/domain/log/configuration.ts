import * as z from 'zod'
import { canonicalText } from '../../kernel/canonical.ts'
import { type Config, isOperator } from '../../kernel/config.ts'
import { type Command, type Context, type Decision, type LoadedRows, type Row, refuse } from '../../kernel/decider.ts'
import type { Entry } from '../../kernel/entry.ts'
import { freeText } from '../../kernel/free-text.ts'
import { given } from '../../kernel/given.ts'
import { durationSchema, retentionMinimumDefault, secondsOf } from '../../kernel/retention.ts'
import { evolveKeys, type KeyState } from './keys.ts'
import { evolveSeal, type SealState } from './seal.ts'
import { ledgerStream } from './stream.ts'

/** The SHA-256 of the text of a configuration. The text is an object of the ledger. */
export const configSha256 = z.string().regex(/^[0-9a-f]{64}$/)

const loaded = z.strictObject({
  /** The settings whose values changed. */
  changed: z.array(z.string().max(60)).max(100),
  /** Null if the ledger is older than its configurations in force: it then loads its file once, at its first open. */
  previous: configSha256.nullable(),
  /** The new value of `retention.minimum`, if it changed. To make it shorter, the caller had to confirm it. */
  retention_minimum: durationSchema.optional(),
  sha256: configSha256,
})

const refused = z.strictObject({
  code: z.string(),
  command: z.string(),
  message: freeText(z.string()),
})

/** The events of the configuration, by type. */
export const configEvents = { 'config.loaded': loaded, 'config.refused': refused } as const

export type ConfigLoaded = z.infer<typeof loaded>

/** The configuration in force: the hash of its text, and the entry that put it in force. */
export interface LoadedConfig {
  seq: number
  sha256: string
}

/** The state of the ledger's own stream. A ledger of an older version has no configuration in force at first. */
export interface LedgerState {
  config?: LoadedConfig
  created: true
  /** Absent until a key was added, retired or adopted: the ledger then has the key that names it. */
  keys?: KeyState[]
  /** Absent until an entry changes it. */
  retention_minimum?: string
  /** Absent in a ledger that was never moved. */
  sealed?: SealState
}

/** Returns the next state. Entry 0 names the first configuration, and each `config.loaded` another. */
export function evolveLedger(state: LedgerState | undefined, entry: Entry): LedgerState {
  const sha256 = digestIn(entry)
  const config = sha256 === undefined ? state?.config : { seq: entry.seq, sha256 }
  const stated = sha256 === undefined ? undefined : (entry.data.retention_minimum as string | undefined)
  const keys = evolveKeys(state?.keys, entry)
  const sealed = evolveSeal(state?.sealed, entry)
  return { ...given({ config, keys, retention_minimum: stated ?? state?.retention_minimum, sealed }), created: true }
}

/** The digest of the configuration that an entry puts in force; undefined if it puts none in force. */
export function digestIn({ data, type }: Pick<Entry, 'data' | 'type'>): string | undefined {
  const sha256 = type === 'ledger.created' ? data.config_sha256 : type === 'config.loaded' ? data.sha256 : undefined
  return sha256 === undefined ? undefined : String(sha256)
}

/** The configuration in force by the row of the ledger's own stream. */
export function loadedConfig(row: Row | undefined): LoadedConfig | undefined {
  return (row?.state as LedgerState | undefined)?.config
}

/** The shortest time that texts are kept by themselves, as entries confirmed it. */
export function retentionFloor(row: Row | undefined): string {
  return (row?.state as LedgerState | undefined)?.retention_minimum ?? retentionMinimumDefault
}

/** Puts a configuration in force that was read and checked. */
export interface LoadConfig extends Command {
  type: 'config.load'
  config: Config
  /** The shorter `retention.minimum` that the caller confirms. */
  confirmed?: string | undefined
  sha256: string
  text: string
}

/** Asks only whether the caller may put a configuration in force. It is made if the file cannot be used. */
interface AskToLoad extends Command {
  type: 'config.load'
  sha256: null
}
export type ConfigCommand = LoadConfig | AskToLoad

/**
 * Refusals: CONFIG_DENIED (a configuration is in force that makes the actor neither release authority nor operator),
 * recorded; RETENTION_UNCONFIRMED (texts would be kept for a shorter time), recorded. If the same text is in force already, the answer is the entry that put it in force. A file that cannot be
 * used appends nothing.
 */
export function decideConfig(command: ConfigCommand, { actor, config }: Context, rows: LoadedRows): Decision {
  const before = loadedConfig(rows.get(ledgerStream))
  if (before !== undefined && before.sha256 === command.sha256) return { kind: 'repeat', seq: before.seq }
  if (before !== undefined && !isOperator(config, actor.actor_id)) {
    const message = `${actor.actor_id} may not change the configuration: only ${config.release_authority} or an operator may`
    const data = { code: 'CONFIG_DENIED', command: command.type, message }
    return refuse('CONFIG_DENIED', message, {}, { type: 'config.refused', stream: ledgerStream, data })
  }
  if (command.sha256 === null) return { kind: 'append', events: [] }
  const { confirmed, sha256, text } = command
  const { minimum } = command.config.retention
  const floor = retentionFloor(rows.get(ledgerStream))
  const isShorter = secondsOf(minimum) < secondsOf(floor)
  if (before !== undefined && isShorter && confirmed !== minimum) {
    const message = `texts are kept for at least ${floor}; to change this to ${minimum}, confirm it`
    const data = { code: 'RETENTION_UNCONFIRMED', command: command.type, message }
    const record = { type: 'config.refused', stream: ledgerStream, data }
    return refuse('RETENTION_UNCONFIRMED', message, { from: floor, to: minimum }, record)
  }
  const isChanged = before !== undefined && secondsOf(minimum) !== secondsOf(floor)
  const changed = before === undefined ? [] : changesOf(config, command.config).map(({ setting }) => setting)
  const data = {
    changed,
    previous: before?.sha256 ?? null,
    ...(isChanged ? { retention_minimum: minimum } : {}),
    sha256,
  } satisfies ConfigLoaded
  const event = { type: 'config.loaded', stream: ledgerStream, data }
  return { kind: 'append', events: [event], objects: new Map([[sha256, text]]) }
}

/** A setting with its values in two configurations; null if it has none. */
export interface ConfigChange {
  after: z.core.util.JSONType
  before: z.core.util.JSONType
  setting: string
}

/** The settings whose values differ, in alphabetical order. */
export function changesOf(before: Config, after: Config): ConfigChange[] {
  const [old, next] = [before, after].map(
    (config) => config as unknown as Record<string, z.core.util.JSONType | undefined>,
  )
  const settings = [...new Set([...Object.keys(old ?? {}), ...Object.keys(next ?? {})])].sort()
  return settings
    .map((setting) => ({ after: next?.[setting] ?? null, before: old?.[setting] ?? null, setting }))
    .filter(({ after, before }) => canonicalText(after) !== canonicalText(before))
}
