import { hash } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isAbsence, isThere, makeFolderBelow, writeDurably } from '../disk/durable.ts'
import type { Layout } from '../disk/layout.ts'
import { readTextFile } from '../disk/regular-file.ts'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { isSignatureOf } from '../log/signer.ts'
import { type Checkpoint, parseCheckpoint } from '../merkle/checkpoint.ts'
import { toHex } from '../merkle/hash.ts'
import { formatSignedNote, type NoteSignature, parseSignedNote } from '../merkle/note.ts'
import { verifyQuorum, type WitnessPolicy } from '../merkle/witness-policy.ts'

/**
 * A checkpoint of this ledger that witnesses cosigned. It is kept in `.lockstep/cosigned`, in a file that is named by
 * the size and by a digest of the note. Two processes that keep a note of one size make two files, which are read as
 * one note and joined later. No file is ever changed.
 */
export interface KeptNote {
  checkpoint: Checkpoint
  note: string
}

type Folder = Pick<Layout, 'cosigned'>

/** How many sizes are kept, besides the newest that has a quorum. */
const sizesMax = 16

/**
 * The kept notes of a ledger, the largest size first. Notes of another origin are left out: a copy has those of its
 * original. Nothing in them is verified. Errors: LEDGER_CORRUPT (a file that is not a note), FILE_DENIED, FILE_FAILED.
 */
export function keptNotes({ cosigned }: Folder, origin: string): KeptNote[] {
  const notes = [...filesIn(cosigned)].map(([size, names]) => joined(cosigned, size, names))
  return notes.filter((kept) => kept?.checkpoint.origin === origin) as KeptNote[]
}

/** The newest kept note that a quorum of a policy cosigned. Errors: as for `keptNotes`. */
export async function newestQuorum(
  layout: Folder,
  { origin, policy }: { origin: string; policy: WitnessPolicy },
): Promise<KeptNote | undefined> {
  for (const kept of keptNotes(layout, origin)) {
    if ((await verifyQuorum(kept.note, policy, isSignatureOf)).ok) return kept
  }
  return undefined
}

/**
 * Keeps a note durably, together with the cosignatures that are kept for its size already. Notes of smaller sizes are
 * then removed, but never the newest with a quorum. Returns the note that is kept.
 */
export async function keepNote(
  { cosigned, home }: Pick<Layout, 'cosigned' | 'home'>,
  note: string,
  policy: WitnessPolicy,
): Promise<string> {
  const checkpoint = checkpointIn(note)
  if (checkpoint === undefined) throw new RangeError('the note is not a checkpoint')
  makeFolderBelow(home, cosigned, 0o700)
  const { origin, size } = checkpoint
  const names = filesIn(cosigned).get(size) ?? []
  const earlier = joined(cosigned, size, names)
  const whole = merged(earlier?.checkpoint.origin === origin ? [note, earlier.note] : [note])
  const name = `${size}.${hash('sha256', whole, 'hex').slice(0, 32)}`
  if (!isThere(join(cosigned, name))) await writeDurably(join(cosigned, name), whole, 0o600)
  // All that these files say is durable in the new one.
  for (const old of names) if (old !== name) rmSync(join(cosigned, old), { force: true })
  const quorum = await newestQuorum({ cosigned }, { origin, policy })
  for (const [old, files] of [...filesIn(cosigned)].slice(sizesMax)) {
    if (old !== quorum?.checkpoint.size) for (const file of files) rmSync(join(cosigned, file), { force: true })
  }
  return whole
}

/** The checkpoint in a note, without verification; undefined if it is none. */
export function checkpointIn(note: string): Checkpoint | undefined {
  const parsed = parseSignedNote(note)
  const checkpoint = parsed.ok ? parseCheckpoint(parsed.value.text) : undefined
  return checkpoint?.ok ? checkpoint.value : undefined
}

/**
 * One note with the signatures of notes that have one text; of others, the first. Of two signatures by one key, the
 * later stays. The same signatures always give the same note: first that of the log, then the others by their keys.
 */
function merged(notes: readonly string[]): string {
  const parsed = notes.flatMap((note) => {
    const one = parseSignedNote(note)
    return one.ok ? [one.value] : []
  })
  const text = parsed[0]?.text ?? ''
  const byKey = new Map<string, NoteSignature>()
  for (const one of parsed.filter((other) => other.text === text).flatMap(({ signatures }) => signatures)) {
    const key = `${one.name} ${toHex(one.keyId)}`
    const known = byKey.get(key)
    // A cosignature begins with its timestamp.
    if (known === undefined || toHex(one.signature) > toHex(known.signature)) byKey.set(key, one)
  }
  const origin = text.slice(0, text.indexOf('\n'))
  const rank = ([key, { name }]: [string, NoteSignature]) => `${name === origin ? 0 : 1}${key}`
  const ordered = [...byKey].sort((left, right) => (rank(left) < rank(right) ? -1 : 1))
  return formatSignedNote({ text, signatures: ordered.map(([, signature]) => signature) })
}

/** The note of a size, from its files. Undefined if another process has removed them. */
function joined(folder: string, size: number, names: readonly string[]): KeptNote | undefined {
  const notes: string[] = []
  for (const name of names) {
    const path = join(folder, name)
    const unusable = (is: string) =>
      new LockstepError('LEDGER_CORRUPT', `${path} ${is}`, {
        hint: 'Move this file to another place, and keep it as evidence. The next "lockstep witness sync" makes a new one.',
      })
    const note = readTextFile(path, limits.homeFileBytes, unusable)
    if (note === undefined) continue
    if (checkpointIn(note)?.size !== size) throw unusable('is not a checkpoint of this size')
    notes.push(note)
  }
  if (notes.length === 0) return undefined
  const note = merged(notes)
  const checkpoint = checkpointIn(note)
  return checkpoint && { checkpoint, note }
}

/** The files by the size of their notes, the largest size first. */
function filesIn(folder: string): Map<number, string[]> {
  const bySize = new Map<number, string[]>()
  for (const name of namesIn(folder)) {
    const size = /^(0|[1-9][0-9]{0,15})\.[0-9a-f]{32}$/.exec(name)?.[1]
    if (size !== undefined) bySize.set(Number(size), [...(bySize.get(Number(size)) ?? []), name])
  }
  return new Map([...bySize].sort(([left], [right]) => right - left))
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort()
  } catch (error) {
    if (isAbsence(error)) return []
    throw error
  }
}
