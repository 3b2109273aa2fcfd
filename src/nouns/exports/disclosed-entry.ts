import * as z from 'zod'
import { isWithheld } from '../../domain/withheld.ts'
import type { Entry } from '../../kernel/entry.ts'
import { given } from '../../kernel/given.ts'
import { commitmentTo, entryWithTexts, type StoredEntry } from '../../log/free-texts.ts'
import { leafHashOfText } from '../../log/leaf.ts'
import { commitmentsIn, type HeldText } from '../../merkle/commitment.ts'
import { fromHex, toHex } from '../../merkle/hash.ts'

/**
 * The proof of an entry as a line: its hashes, and its free texts with their salts if it has any. Texts that are withheld
 * are left out.
 */
export function proofLine(
  { text, texts = [] }: StoredEntry,
  of: { proof: readonly Uint8Array[]; seq: number; withheld: readonly string[] },
): string {
  const shown = texts.filter(({ path }) => !isWithheld(path, of.withheld))
  const hashes = { leaf_hash: toHex(leafHashOfText(text)), proof: of.proof.map(toHex), seq: of.seq }
  return JSON.stringify({ ...(shown.length === 0 ? {} : { disclosures: shown }), ...hashes })
}

/** What a proof line holds. Undefined if the line is not the proof of this leaf in its written form. */
export function proofIn(
  line: string,
  leaf_hash: string,
  seq: number,
): { disclosures: HeldText[]; hashes: Uint8Array[] } | undefined {
  const { disclosures, proof } = parsedObject(line)
  const held = z.array(heldTextSchema).min(1).optional().safeParse(disclosures)
  if (!Array.isArray(proof) || !held.success) return undefined
  if (JSON.stringify({ ...given({ disclosures: held.data }), leaf_hash, proof, seq }) !== line) return undefined
  const hashes = proof.map((hash) => (typeof hash === 'string' ? fromHex(hash) : undefined))
  return hashes.every((hash) => hash !== undefined) ? { disclosures: held.data ?? [], hashes } : undefined
}

function parsedObject(line: string): { disclosures?: unknown; proof?: unknown } {
  try {
    return JSON.parse(line) ?? {}
  } catch {
    return {}
  }
}

/** A text that is disclosed, or the path of one that was erased. */
const heldTextSchema = z.union([
  z.strictObject({ path: z.string(), salt: z.string().regex(/^[0-9a-f]{64}$/), text: z.string() }),
  z.strictObject({ path: z.string() }),
])

/** How many free texts a bundle discloses, how many the ledger had erased before, and how many the bundle withholds. */
export interface TextCounts {
  disclosed: number
  erased: number
  withheld: number
}

/**
 * The entry with its free texts, once each was compared with its commitment; otherwise what is wrong with them. A text may
 * be missing only if the bundle says that it withholds it, and then it must be.
 */
export function disclosedEntry(
  recorded: Entry,
  disclosures: readonly HeldText[],
  { counts, withheld }: { counts: TextCounts; withheld: readonly string[] },
): Entry | string {
  const held = new Map(disclosures.map((each) => [each.path, each]))
  const texts: HeldText[] = []
  for (const { commitment, path } of commitmentsIn(recorded)) {
    const found = held.get(path)
    const what = `the text ${path} of entry ${recorded.seq}`
    if (isWithheld(path, withheld)) {
      if (found !== undefined) return `${what} is there, although the manifest says that it is withheld`
      counts.withheld += 1
      texts.push({ path, salt: '', text: '[withheld]' })
      continue
    }
    if (found === undefined) return `${what} is missing`
    if (!('text' in found)) counts.erased += 1
    else if (commitmentTo(found) === commitment) counts.disclosed += 1
    else return `${what} is not the one that the entry is committed to`
    held.delete(path)
    texts.push(found)
  }
  if (held.size > 0 || new Set(disclosures.map(({ path }) => path)).size !== disclosures.length)
    return `entry ${recorded.seq} has other texts than it is committed to`
  return texts.length === 0 ? recorded : entryWithTexts(recorded, { text: '', texts })
}
