import * as z from 'zod'
import { canonicalText } from '../../kernel/canonical.ts'
import { type Config, isOperator } from '../../kernel/config.ts'
import { type Command, type Context, type Decision, type LoadedRows, type Row, refuse } from '../../kernel/decider.ts'
import type { Entry } from '../../kernel/entry.ts'
import { freeText } from '../../kernel/free-text.ts'

/** The stream of the ledger itself: its creation, each restore, and each configuration that came in force. */
export const ledgerStream = 'ledger'

/** The SHA-256 of the text of a configuration. The text is an object of the ledger. */
export const configSha256 = z.string().regex(/^[0-9a-f]{64}$/)

const loaded = z.strictObject({
  /** The settings whose values changed. */
  changed: z.array(z.string().max(60)).max(100),
  /** Null if the ledger is older than its configurations in force: it then loads its file once, at its first open. */
  previous: configSha256.nullable(),
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
interface LedgerState {
  config?: LoadedConfig
  created: true
}

/** Returns the next state. Entry 0 names the first configuration, and each `config.loaded` another. */
export function evolveLedger(state: LedgerState | undefined, { data, seq, type }: Entry): LedgerState {
  const sha256 = digestIn({ data, type })
  return sha256 === undefined ? (state ?? { created: true }) : { config: { seq, sha256 }, created: true }
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

/** Puts a configuration in force that was read and checked. */
export interface LoadConfig extends Command {
  type: 'config.load'
  config: Config
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
 * recorded. If the same text is in force already, the answer is the entry that put it in force. A file that cannot be
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
  const { sha256, text } = command
  const changed = before === undefined ? [] : changesOf(config, command.config).map(({ setting }) => setting)
  const data = { changed, previous: before?.sha256 ?? null, sha256 } satisfies ConfigLoaded
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
