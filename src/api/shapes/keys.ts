import * as z from 'zod'
import { actorSchema, reasonSchema } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { hints } from '../hints.ts'
import { seq, size } from './basics.ts'

export const rotate = z.strictObject({ actor: actorSchema.optional() })
export interface RotateKey extends z.input<typeof rotate> {}

export const retire = z.strictObject({ actor: actorSchema.optional(), vkey: z.string().min(1).max(1_000).optional() })
export interface RetireKey extends z.input<typeof retire> {}

export const adopt = z.strictObject({
  actor: actorSchema.optional(),
  checkpoint: z.string().min(1).max(limits.keptCheckpointChars),
  reason: reasonSchema,
})
export interface AdoptKey extends z.input<typeof adopt> {}

export const changed = z.strictObject({ seq, size, vkey: z.string() })
/** A change of the keys that an entry records. */
export interface ChangedKey extends z.output<typeof changed> {}

const key = z.strictObject({
  from: size,
  held: z.enum(['file', 'missing', 'signer']),
  status: z.enum(['in_force', 'ended']),
  to: size.nullable(),
  vkey: z.string(),
})
export const listed = z.strictObject({ keys: z.array(key), vkey: z.string() })
/** The keys that the ledger has and had, oldest first. */
export interface KeyList extends z.output<typeof listed> {}

const end = 'The last size that the key signs; null while it is in force.'
hints.add(adopt, { checkpoint: { about: 'A checkpoint that a lost key signed and that was kept elsewhere.' } })
hints.add(changed, {
  size: { about: 'The size of the tree that the statement names.' },
  vkey: { about: 'The key that was added, retired or adopted.' },
})
hints.add(key, {
  from: { about: 'The first size that the key signs.' },
  held: { about: 'Whether the private key is in a file of the ledger, with the command that signs, or missing.' },
  status: { about: 'Whether the key signs the tree head of now.' },
  to: { about: end },
})
hints.add(listed, {
  keys: { about: 'The keys, oldest first.' },
  vkey: { about: 'The text of key.pub: the first key and the signed statements of all changes.' },
})
hints.add(retire, { vkey: { about: 'The key that ends. By default the older of the two.' } })
