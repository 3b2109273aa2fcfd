import * as z from 'zod'
import { writeDurably } from '../disk/durable.ts'
import { readTextFile } from '../disk/regular-file.ts'
import { formatTooNew, formatVersion } from '../kernel/format.ts'
import { limits } from '../kernel/limits.ts'
import { parseCheckpoint } from '../merkle/checkpoint.ts'
import { toHex } from '../merkle/hash.ts'
import { parseSignedNote } from '../merkle/note.ts'
import { headFileCorrupt } from './compare-head-file.ts'
import type { HeadPlace } from './heads.ts'
import type { TreeHeadFile } from './log.ts'

const root = z.string().regex(/^[0-9a-f]{64}$/)
const size = z.int().min(0)

/** `.lockstep/head` of format 1: a durable tree head outside the database, without a signature. */
const unsignedSchema = z.strictObject({ origin: z.string(), root, size, time: z.string().optional() })

/**
 * `.lockstep/head` of format 2: the last tree head that was signed, as a C2SP checkpoint, and, until it is signed, a newer
 * one that the log has reached. It states its format, because older versions read this file before any other.
 */
const signedSchema = z.strictObject({
  checkpoint: z.string(),
  format: z.literal(2),
  reached: z.strictObject({ root, size }).optional(),
})

/** A later format states its number here, because this file is read before any other file of a ledger. */
const statedFormatSchema = z.object({ format: z.int() })

/**
 * The tree heads in the file; undefined if it is missing. The signature is checked elsewhere (`problemOfHead`). Errors:
 * LEDGER_CORRUPT; FORMAT_TOO_NEW if the file states a later format.
 */
export function readHeadFile(path: string): TreeHeadFile | undefined {
  const text = readTextFile(path, limits.homeFileBytes, (is) => headFileCorrupt(`${path} ${is}`))
  if (text === undefined) return undefined
  const document = parsed(path, text)
  const stated = statedFormatSchema.safeParse(document).data?.format ?? 0
  if (stated > formatVersion) throw formatTooNew('the ledger', { found: stated, read: formatVersion })
  const unsigned = unsignedSchema.safeParse(document).data
  if (unsigned !== undefined) return { origin: unsigned.origin, root: unsigned.root, size: unsigned.size }
  const { data, error } = signedSchema.safeParse(document)
  if (data === undefined) throw unusable(path, error)
  const note = parseSignedNote(data.checkpoint)
  const head = note.ok ? parseCheckpoint(note.value.text) : note
  if (!head.ok) throw unusable(path, new Error(head.reason))
  const { reached } = data
  const signed = { ...head.value, note: data.checkpoint, root: toHex(head.value.root) }
  return reached === undefined ? signed : { ...signed, reached }
}

/** The head file as the place of a ledger's heads. */
export function headPlace(path: string): HeadPlace {
  return { read: () => readHeadFile(path), write: (file) => writeHeadFile(path, file) }
}

/** `beside` names the temporary file. Pass it if another process may be writing the head file at the same time. */
export function writeHeadFile(path: string, head: TreeHeadFile, beside?: string): Promise<void> {
  const { note, origin, reached, root, size } = head
  const document = note === undefined ? { origin, root, size, time: '' } : { checkpoint: note, format: 2, reached }
  return writeDurably(path, `${JSON.stringify(document)}\n`, undefined, beside)
}

function parsed(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw unusable(path, cause)
  }
}

function unusable(path: string, cause: unknown) {
  return headFileCorrupt(`${path} is not a tree head`, {}, cause)
}
