import * as z from 'zod'
import { isOperator } from '../../kernel/config.ts'
import type { Command, Context, Decision, Refusal } from '../../kernel/decider.ts'
import { refuse } from '../../kernel/decider.ts'
import type { Entry } from '../../kernel/entry.ts'
import { freeText } from '../../kernel/free-text.ts'
import { limits } from '../../kernel/limits.ts'
import { ledgerStream } from './stream.ts'

const vkey = z.string().min(1).max(1_000)
const head = {
  root: z.string().regex(/^[0-9a-f]{64}$/),
  /** The size of the tree that the statement names. */
  size: z.int().min(1),
}
/** The signed note that proves the change to verifiers without the ledger (ADR 0067). */
const statement = z.string().min(1).max(limits.keyStatementChars)

/** From the next size on the new key signs too. `by` is the key that was in force alone. */
const added = z.strictObject({ by: vkey, ...head, statement, vkey })
/** `size` is the last size that the key `vkey` signs. `by` is the key that remains. */
const retired = z.strictObject({ by: vkey, ...head, statement, vkey })
/**
 * The keys in force were lost, and this key replaces them from the next size on. `checkpoint` is the note that was kept
 * elsewhere, signed by a lost key, and that the tree extends.
 */
const adopted = z.strictObject({
  checkpoint: z.string().min(1).max(limits.keptCheckpointChars),
  ...head,
  lost: z.array(vkey).min(1).max(2),
  reason: freeText(z.string().min(1).max(limits.reasonChars)),
  statement,
  vkey,
})
const refused = z.strictObject({
  code: z.string(),
  command: z.string(),
  message: freeText(z.string()),
})

/** The events of the ledger's keys, by type. */
export const keyEvents = {
  'ledger.key_added': added,
  'ledger.key_retired': retired,
  'ledger.key_adopted': adopted,
  'ledger.key_refused': refused,
} as const

export type KeyAdded = z.infer<typeof added>
export type KeyRetired = z.infer<typeof retired>
export type KeyAdopted = z.infer<typeof adopted>

/** A key of the ledger, and the sizes of the tree that it signs. `to` is null while it is in force. */
export interface KeyState {
  vkey: string
  from: number
  to: number | null
  /** The entry of its statement; absent for the key that the ledger was made with. */
  seq?: number
  /** Whether it replaced lost keys: nothing that they signed leads to it. */
  adopted?: true
  /** The entry that ended it. */
  end_seq?: number
}

/** The keys after an entry. They are undefined until the first change: the ledger has the key that names it. */
export function evolveKeys(keys: KeyState[] | undefined, { data, seq, type }: Entry): KeyState[] | undefined {
  switch (type) {
    case 'ledger.restored':
      return undefined
    case 'ledger.key_added': {
      const { by, size, vkey } = data as KeyAdded
      return [...(keys ?? [{ vkey: by, from: 0, to: null }]), { vkey, from: size + 1, to: null, seq }]
    }
    case 'ledger.key_retired': {
      const { size, vkey } = data as KeyRetired
      return keys?.map((key) => (key.vkey === vkey ? { ...key, to: size, end_seq: seq } : key))
    }
    case 'ledger.key_adopted': {
      const { lost, size, vkey } = data as KeyAdopted
      const before = keys ?? lost.map((line) => ({ vkey: line, from: 0, to: null }))
      const ended = before.map((key) => (lost.includes(key.vkey) ? { ...key, to: size, end_seq: seq } : key))
      return [...ended, { vkey, from: size + 1, to: null, seq, adopted: true }]
    }
    default:
      return keys
  }
}

/** Adds a key that signs from the next size on. Its statement was signed by both keys. */
export interface AddKey extends Command {
  type: 'key.add'
  data: KeyAdded
}
/** Ends one of two keys. The other key signed the statement. */
export interface RetireKey extends Command {
  type: 'key.retire'
  data: KeyRetired
}
/** Replaces lost keys. */
export interface AdoptKey extends Command {
  type: 'key.adopt'
  data: KeyAdopted
}
/** Asks only whether the caller may change the keys, before anything is made or signed. */
interface AskForKeys extends Command {
  type: 'key.ask'
  command: string
}
export type KeyCommand = AddKey | AdoptKey | AskForKeys | RetireKey

/**
 * Refusals, in order: KEY_DENIED (neither release authority nor operator), recorded; KEY_CONFLICT (the keys in force are
 * not those that the statement names, or too many changes). `keys` is undefined before the first change: the key that
 * names the ledger is then the only one, and the handler read it.
 */
export function decideKeys(command: KeyCommand, { actor, config }: Context, keys: KeyState[] | undefined): Decision {
  if (!isOperator(config, actor.actor_id)) {
    const asked = command.type === 'key.ask' ? command.command : command.type
    const message = `${actor.actor_id} may not change the keys: only ${config.release_authority} or an operator may`
    const data = { code: 'KEY_DENIED', command: asked, message }
    return refuse('KEY_DENIED', message, {}, { type: 'ledger.key_refused', stream: ledgerStream, data })
  }
  if (command.type === 'key.ask') return { kind: 'append', events: [] }
  const { data, type } = command
  const inForce = keys?.filter(({ to }) => to === null).map((key) => key.vkey)
  const expected = type === 'key.add' ? [data.by] : type === 'key.retire' ? [data.by, data.vkey] : data.lost
  // Without a change so far, one key is in force, and the statement of the handler names it.
  const isSame = inForce === undefined ? expected.length === 1 : isSameSet(inForce, expected)
  if (!isSame) return conflict('the keys in force are not those that the statement names', inForce ?? [])
  if ((keys?.length ?? 0) >= limits.keysMax)
    return conflict(`a ledger has at most ${limits.keysMax} keys`, inForce ?? [])
  if (keys?.some((key) => key.vkey === data.vkey) === (type !== 'key.retire')) {
    return conflict(`the key ${data.vkey} was a key of the ledger before`, inForce ?? [])
  }
  const event = { type: eventOf[type], stream: ledgerStream, data }
  return { kind: 'append', events: [event] }
}

const eventOf = {
  'key.add': 'ledger.key_added',
  'key.adopt': 'ledger.key_adopted',
  'key.retire': 'ledger.key_retired',
} as const

function isSameSet(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((item) => other.includes(item))
}

function conflict(message: string, in_force: string[]): Refusal {
  return refuse('KEY_CONFLICT', message, { in_force })
}
