// limit: 1200
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import { is, ok } from 'uvu/assert'
import { verifySignedNote } from '../../src/merkle/note.ts'
import { verifyConsistency, verifyInclusion } from '../../src/merkle/proofs.ts'
import { parseVkey } from '../../src/merkle/vkey.ts'
import { hexOf, sha256 } from '../merkle/model.ts'
import { root as project } from '../runner.ts'
import { foreign } from '../support/foreign.ts'
import { randomBelow } from '../support/seed.ts'
import { verifyByNode } from '../support/witness-keys.ts'
import { hostileNote, type NoteCase, strictRule } from './mutated-notes.ts'
import { mutatedConsistency, mutatedInclusion } from './mutated-proofs.ts'
import { consistencyCase, inclusionCase, noteCase, Verdicts } from './verdicts.ts'

const mutated = suite("mutated proofs and notes, against Go's packages tlog and note")
const random = randomBelow('mutated proofs and notes')

/** With 200 rounds, as in the long run, 100,000 proofs and 1,000 notes. */
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 4)
const counts = { inclusion: 250 * rounds, consistency: 250 * rounds, notes: Math.max(300, 5 * rounds) }

const folder = mkdtempSync(join(tmpdir(), 'lockstep-go-'))
process.once('exit', () => rmSync(folder, { force: true, recursive: true }))
const program = foreign(join(project, 'test/foreign/verdicts.go'), folder)

/** What is compared, in portions, so that the cases of the long run need not fit into memory. */
async function compare<Case>(
  count: number,
  {
    next,
    asked,
    ours,
    expected,
  }: {
    next: () => Case
    asked: (one: Case) => object
    ours: (one: Case) => Promise<string>
    /** Our verdict where it is not theirs by design, with the rule. */
    expected: (one: Case) => { rule: string; verdict: string } | undefined
  },
): Promise<Record<string, number>> {
  const seen: Record<string, number> = { yes: 0, no: 0 }
  if (program === undefined) return seen
  const theirs = new Verdicts(program)
  try {
    for (let left = count; left > 0; left -= 1_000) {
      const cases = Array.from({ length: Math.min(left, 1_000) }, next)
      const verdicts = await theirs.of(cases.map(asked))
      for (const [at, one] of cases.entries()) {
        const [verdict, ruled] = [verdicts[at] ?? '', expected(one)]
        const own = await ours(one)
        if (own !== (ruled?.verdict ?? verdict)) throw new Error(`${own} and not ${verdict}: ${told(asked(one))}`)
        const what = ruled !== undefined && own !== verdict ? ruled.rule : (own.split(' ')[0] ?? '')
        seen[what] = (seen[what] ?? 0) + 1
      }
    }
  } finally {
    await theirs.end()
  }
  console.log(JSON.stringify(seen))
  return seen
}

const told = (asked: object) => JSON.stringify(asked).slice(0, 4_000)
const word = (isTrue: boolean) => (isTrue ? 'yes' : 'no')
/** A ledger has at most 2^53 - 1 entries, the largest number that JSON carries for certain. */
const tooLarge = (...numbers: number[]) =>
  numbers.every(Number.isSafeInteger) ? undefined : { rule: 'a number above 2^53 - 1', verdict: 'no' }

mutated(`${counts.inclusion} inclusion proofs have the same verdict`, async () => {
  const { no = 0, yes = 0 } = await compare(counts.inclusion, {
    next: () => mutatedInclusion(random),
    asked: inclusionCase,
    ours: async (claim) => word(await verifyInclusion(claim, sha256)),
    expected: ({ seq, size }) => tooLarge(seq, size),
  })
  if (program !== undefined) ok(yes > counts.inclusion / 10 && no > counts.inclusion / 10, `${yes} yes, ${no} no`)
})

const emptyRoot = hexOf(sha256(new Uint8Array(0)))

mutated(`${counts.consistency} consistency proofs have the same verdict, but for the empty tree`, async () => {
  const { no = 0, yes = 0 } = await compare(counts.consistency, {
    next: () => mutatedConsistency(random),
    asked: consistencyCase,
    ours: async (claim) => word(await verifyConsistency(claim, sha256)),
    expected: ({ from, fromRoot, proof, to, toRoot }) => {
      if (from !== 0 || tooLarge(to) !== undefined) return tooLarge(from, to)
      // Go compares no tree with the empty one. By RFC 9162 every tree begins with it.
      const isWhole = toRoot.length === 32 && (to > 0 || hexOf(toRoot) === emptyRoot)
      const isTrue = proof.length === 0 && to >= 0 && isWhole && hexOf(fromRoot) === emptyRoot
      return { rule: 'the empty tree', verdict: word(isTrue) }
    },
  })
  if (program !== undefined) ok(yes > counts.consistency / 10 && no > counts.consistency / 10, `${yes} yes, ${no} no`)
})

/** What our verifier makes of bytes. Bytes that are not UTF-8 never reach it: they are no text. */
async function opened({ note, vkey }: NoteCase): Promise<string> {
  const key = await parseVkey(vkey, sha256)
  const text = utf8In(note)
  if (!key.ok || text === undefined) return 'no'
  const verified = await verifySignedNote(text, key.value, verifyByNode)
  return verified.ok ? `yes ${Buffer.from(verified.value).toString('base64')}` : 'no'
}

function utf8In(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

mutated(`${counts.notes} hostile notes have the same verdict and text, but where ours is stricter`, async () => {
  const seen = await compare(counts.notes, {
    next: () => hostileNote(random),
    asked: ({ note, vkey }) => noteCase(note, vkey),
    ours: opened,
    expected: (one) => {
      const rule = strictRule(one)
      return rule === undefined ? undefined : { rule, verdict: 'no' }
    },
  })
  if (program === undefined) return
  const { no = 0, yes = 0 } = seen
  ok(yes > counts.notes / 10 && no > counts.notes / 10, `${yes} yes, ${no} no`)
  const rules = [
    'a control character in a name',
    'a key id in upper case',
    'a line break in a key line',
    'ambiguous base64',
    'no',
    'yes',
  ]
  is(Object.keys(seen).filter((what) => !rules.includes(what)).length, 0)
})

mutated.run()
