import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { LockstepError } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { parseCheckpoint } from '../../src/merkle/checkpoint.ts'
import { toHex } from '../../src/merkle/hash.ts'
import { parseSignedNote } from '../../src/merkle/note.ts'
import { verifyExport } from '../../src/nouns/exports/export-verify.ts'
import { verifyConsistencyProof, verifyGrowth, verifyProof } from '../../src/verify.ts'
import { type Bundle, pack, unpack } from './bundle.ts'
import type { Random } from './seed.ts'
import type { Evidence, PageVerdict } from './verify-page.ts'

/** Evidence for the page, the key that is pasted, and what our own verifiers say of the same. */
export interface PageCase {
  title: string
  evidence: Evidence[]
  key: string
  expected: PageVerdict
}

type Checked = { ok: true } | { ok: false; check: string }

function verdictOf(result: Checked, key: string): PageVerdict {
  if (!result.ok) return { failed: result.check, verdict: 'failed' }
  return { failed: undefined, verdict: key === '' ? 'unauthenticated' : 'verified' }
}

/** A proof, with the verdict of `verifyProof`. */
export async function proofCase(title: string, text: string, key: string): Promise<PageCase> {
  const document = parsed(text)
  const result = await (key === '' ? verifyProof(document) : verifyProof(document, { vkey: key }))
  return { evidence: [{ bytes: text, name: 'proof.json' }], expected: verdictOf(result, key), key, title }
}

/** Two checkpoints with a consistency proof. */
export interface Growth {
  consistency: string
  grown: string
  old: string
}

/** A growth, with the verdict of `verifyGrowth`; without a key, that of the roots that the checkpoints state. */
export async function growthCase(title: string, growth: Growth, key: string): Promise<PageCase> {
  const { proof } = (parsed(growth.consistency) ?? {}) as { proof?: unknown }
  const result =
    key === ''
      ? await unsigned(growth, proof)
      : await verifyGrowth(growth.old, growth.grown, proof, key).then((verified) => verified)
  const evidence = [
    { bytes: growth.grown, name: 'new.txt' },
    { bytes: growth.old, name: 'old.txt' },
    { bytes: growth.consistency, name: 'consistency.json' },
  ]
  return { evidence, expected: verdictOf(result, key), key, title }
}

async function unsigned({ grown, old }: Growth, proof: unknown): Promise<Checked> {
  const heads = [old, grown].map((text) => {
    const note = parseSignedNote(text)
    const head = note.ok ? parseCheckpoint(note.value.text) : note
    return head.ok ? head.value : undefined
  })
  const [first, second] = heads
  if (first === undefined || second === undefined) return { check: 'checkpoint', ok: false }
  const [from, to] = first.size <= second.size ? [first, second] : [second, first]
  if (from.origin !== to.origin) return { check: 'consistency', ok: false }
  const [from_root, to_root] = [toHex(from.root), toHex(to.root)]
  return verifyConsistencyProof({ from: from.size, from_root, proof, to: to.size, to_root })
}

/** A bundle, with the verdict of `export verify`. The archive is written anew to `file`. */
export async function bundleCase(title: string, files: Bundle, file: string, key: string): Promise<PageCase> {
  const archive = await pack(files, file)
  return archiveCase(title, { bytes: readFileSync(archive), name: 'bundle.tar.gz' }, file, key)
}

/** The same for an archive as it is on disk. */
export async function archiveCase(title: string, archive: Evidence, file: string, key: string): Promise<PageCase> {
  const result = await verifyExport(file, key === '' ? { unauthenticated: true } : { vkey: key }).then(
    () => ({ ok: true }) as const,
    (error: unknown) => {
      if (!(error instanceof LockstepError)) throw error
      if (error.code === 'FORMAT_TOO_NEW') return { check: 'statement', ok: false } as const
      return { check: String(error.details.check ?? 'key'), ok: false } as const
    },
  )
  return { evidence: [archive], expected: verdictOf(result, key), key, title }
}

/** What a ledger hands out, to be checked as it is and changed. */
export interface HandedOut {
  bundle: Bundle
  growth: Growth
  proof: string
}

/** A proof, a growth and a bundle of a ledger. */
export async function handedOut(ledger: LocalLedger, archive: string): Promise<HandedOut> {
  const { size } = await ledger.head.get()
  const from = Math.floor(size / 2)
  const [old, grown] = [await ledger.head.signed({ size: from }), await ledger.head.signed({ size })]
  return {
    bundle: unpack(archive),
    growth: {
      consistency: JSON.stringify(await ledger.log.consistency({ from, to: size })),
      grown: grown.checkpoint,
      old: old.checkpoint,
    },
    proof: JSON.stringify(await ledger.log.prove({ seq: from, size })),
  }
}

/** The text with one change at a random place: another character, one less, or one twice. */
function mutated(text: string, random: Random): string {
  const at = random(text.length)
  const other = '0123456789abcdefABZ+/= "{}[],:\n\u2014é'
  const changes = [other.charAt(random(other.length)), '', `${text.charAt(at)}${text.charAt(at)}`]
  return `${text.slice(0, at)}${changes[random(changes.length)]}${text.slice(at + 1)}`
}

/** Cases of evidence with one random change, about equally many of each kind. */
export async function mutatedCases(
  { bundle, growth, proof }: HandedOut,
  { folder, random, rounds, vkey }: { folder: string; random: Random; rounds: number; vkey: string },
): Promise<PageCase[]> {
  const cases: PageCase[] = []
  for (let round = 0; round < rounds; round += 1) {
    const key = round % 2 === 0 ? vkey : ''
    cases.push(await proofCase(`proof ${round}`, mutated(proof, random), key))
    const member = (['consistency', 'grown', 'old'] as const)[round % 3] ?? 'old'
    cases.push(await growthCase(`growth ${round}`, { ...growth, [member]: mutated(growth[member], random) }, key))
    const name = [...bundle.keys()][random(bundle.size)] ?? ''
    const bytes = Buffer.from(mutated(bundle.get(name)?.toString('utf8') ?? '', random))
    const file = join(folder, 'changed.tar.gz')
    cases.push(await bundleCase(`bundle ${round}, ${name}`, new Map([...bundle, [name, bytes]]), file, key))
    const wrong = mutated(vkey, random).trim()
    if (wrong !== '') cases.push(await proofCase(`key ${round}`, proof, wrong))
  }
  return cases
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
