import * as z from 'zod'
import { defineAggregate, stream } from '../../kernel/aggregate.ts'
import { type Command, type Context, type Decision, type LoadedRows, refuse } from '../../kernel/decider.ts'
import { ledgerIdSchema, originSchema, reasonSchema } from '../../kernel/ids.ts'
import {
  type ConfigCommand,
  configEvents,
  configSha256,
  decideConfig,
  digestIn,
  evolveLedger,
  type LedgerState,
} from './configuration.ts'
import { decideKeys, type KeyCommand, keyEvents } from './keys.ts'
import { decideSeal, type SealLedger, sealEvents } from './seal.ts'
import { ledgerStream } from './stream.ts'

/** Entry 0: the name of this ledger, its public key, and its first configuration. */
const created = z.strictObject({
  /** Ledgers of older versions have none: they load their configuration at the first open. */
  config_sha256: configSha256.optional(),
  format: z.int(),
  ledger_id: ledgerIdSchema,
  origin: originSchema,
  vkey: z.string(),
})

/**
 * From this entry on the ledger has another name and key, because the ledger that it continues may also go on. Each
 * later grant adds `token_offset` to its seq, so that its token is above every token of the other ledger (ADR 0049).
 */
const restored = z.strictObject({
  by: z.enum(['adopt', 'restore', 'salvage']),
  format: z.int(),
  ledger_id: ledgerIdSchema,
  origin: originSchema,
  previous: z.strictObject({
    ledger_id: ledgerIdSchema,
    origin: originSchema,
    root: z.string().regex(/^[0-9a-f]{64}$/),
    size: z.int().min(1),
  }),
  token_offset: z.int().min(1),
  vkey: z.string(),
})
export type RestoredData = z.infer<typeof restored>

/** From this entry on the ledger has another format. `root` and `size` are of the tree before it (ADR 0063). */
const upgraded = z.strictObject({
  from: z.int().min(1),
  /** The size of the unsigned head file that was accepted, for the last time; null if there was none. */
  head_size: z.int().min(0).nullable(),
  root: z.string().regex(/^[0-9a-f]{64}$/),
  size: z.int().min(1),
  to: z.int().min(2),
})
export type UpgradedData = z.infer<typeof upgraded>

/**
 * The head file was missing, or was not a head of this ledger, and an operator went on without it. `root` and `size` are
 * of the tree as it was found. What others changed before this entry cannot be found with the head file (ADR 0063).
 */
const headAccepted = z.strictObject({
  /** The name under `.lockstep/evidence` of the file that was set aside; null if none was there. */
  kept: z.string().max(200).nullable(),
  /** Why the ledger was refused. */
  problem: z.string().max(1_000),
  reason: reasonSchema.nullable(),
  root: z.string().regex(/^[0-9a-f]{64}$/),
  size: z.int().min(1),
})
export type HeadAcceptedData = z.infer<typeof headAccepted>

export interface AcceptHead extends Command {
  type: 'ledger.accept_head'
  data: HeadAcceptedData
}

export interface CreateLedger extends Command {
  type: 'ledger.create'
  /** The text of the configuration. */
  config?: string
  data: z.infer<typeof created>
}

export interface UpgradeLedger extends Command {
  type: 'ledger.upgrade'
  data: UpgradedData
}

export interface RestoreLedger extends Command {
  type: 'ledger.restore'
  data: RestoredData
}

/** The stream of the ledger itself: its creation, each restore and new format, and each configuration in force. */
export const originAggregate = defineAggregate({
  commands: ['ledger', 'config', 'key'],
  streams: { [ledgerStream]: stream({ evolve: evolveLedger }) },
  events: {
    'ledger.created': created,
    'ledger.restored': restored,
    'ledger.upgraded': upgraded,
    'ledger.head_accepted': headAccepted,
    ...keyEvents,
    ...sealEvents,
    ...configEvents,
  },
  rendering: {
    'ledger.created': {
      action_type: 'system',
      outcome: 'success',
      severity: 'info',
      target: { target_type: 'system', name: { from: 'origin' }, operation: 'ledger.create' },
      outcome_reason: [],
    },
    'ledger.restored': {
      action_type: 'system',
      outcome: 'success',
      severity: 'warn',
      target: { target_type: 'system', name: { from: 'origin' }, operation: 'ledger.restore' },
      outcome_reason: ['by'],
    },
    'ledger.upgraded': {
      action_type: 'system',
      outcome: 'success',
      severity: 'info',
      target: { target_type: 'system', name: 'format', operation: 'ledger.upgrade' },
      outcome_reason: [],
    },
    'ledger.head_accepted': {
      action_type: 'system',
      outcome: 'success',
      severity: 'critical',
      target: { target_type: 'system', name: 'head', operation: 'ledger.accept_head' },
      outcome_reason: ['reason', 'problem'],
    },
    'ledger.key_added': {
      action_type: 'system',
      outcome: 'success',
      severity: 'warn',
      target: { target_type: 'system', name: { from: 'vkey' }, operation: 'key.rotate' },
      outcome_reason: [],
    },
    'ledger.key_retired': {
      action_type: 'system',
      outcome: 'success',
      severity: 'warn',
      target: { target_type: 'system', name: { from: 'vkey' }, operation: 'key.retire' },
      outcome_reason: [],
    },
    'ledger.key_adopted': {
      action_type: 'system',
      outcome: 'success',
      severity: 'warn',
      target: { target_type: 'system', name: { from: 'vkey' }, operation: 'key.adopt' },
      outcome_reason: ['reason'],
    },
    'ledger.key_refused': {
      action_type: 'system',
      outcome: 'deny',
      severity: 'warn',
      target: { target_type: 'system', name: 'keys', operation: { from: 'command' } },
      outcome_reason: ['code'],
    },
    'ledger.sealed': {
      action_type: 'system',
      outcome: 'success',
      severity: 'warn',
      target: { target_type: 'system', name: { from: 'to' }, operation: 'ledger.seal' },
      outcome_reason: [],
    },
    'ledger.seal_refused': {
      action_type: 'system',
      outcome: 'deny',
      severity: 'warn',
      target: { target_type: 'system', name: 'ledger', operation: { from: 'command' } },
      outcome_reason: ['code'],
    },
    'config.loaded': {
      action_type: 'policy_change',
      outcome: 'success',
      severity: 'info',
      target: { target_type: 'policy', name: 'configuration', operation: 'config.load' },
      outcome_reason: [],
    },
    'config.refused': {
      action_type: 'policy_change',
      outcome: 'deny',
      severity: 'warn',
      target: { target_type: 'policy', name: 'configuration', operation: { from: 'command' } },
      outcome_reason: ['code'],
    },
  },
  *objects(entry) {
    const digest = digestIn(entry)
    if (digest !== undefined) yield { digest, kind: 'configuration' }
  },
  reads: (_command: LedgerCommand) => [ledgerStream],
  decide,
})

type LedgerCommand = AcceptHead | ConfigCommand | CreateLedger | KeyCommand | RestoreLedger | SealLedger | UpgradeLedger

/** Refusals: LEDGER_EXISTS, for a creation; those of `decideConfig`, `decideKeys` and `decideSeal`. */
function decide(command: LedgerCommand, context: Context, rows: LoadedRows): Decision {
  switch (command.type) {
    case 'config.load':
      return decideConfig(command, context, rows)
    case 'key.add':
    case 'key.adopt':
    case 'key.ask':
    case 'key.retire':
      return decideKeys(command, context, (rows.get(ledgerStream)?.state as LedgerState | undefined)?.keys)
    case 'ledger.restore':
      return { kind: 'append', events: [{ type: 'ledger.restored', stream: ledgerStream, data: command.data }] }
    case 'ledger.seal':
      return decideSeal(command, context, rows.get(ledgerStream))
    case 'ledger.accept_head':
      return { kind: 'append', events: [{ type: 'ledger.head_accepted', stream: ledgerStream, data: command.data }] }
    case 'ledger.upgrade':
      return { kind: 'append', events: [{ type: 'ledger.upgraded', stream: ledgerStream, data: command.data }] }
    case 'ledger.create': {
      const { config, data } = command
      if (rows.get(ledgerStream) !== undefined) return refuse('LEDGER_EXISTS', 'the ledger already exists')
      const events = [{ type: 'ledger.created', stream: ledgerStream, data }]
      if (config === undefined || data.config_sha256 === undefined) return { kind: 'append', events }
      return { kind: 'append', events, objects: new Map([[data.config_sha256, config]]) }
    }
  }
}
