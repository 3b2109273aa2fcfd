import { commitmentMessage, commitmentsIn, type Disclosure, saltBytes } from '../merkle/commitment.ts'
import { isRecord, isWellFormed } from '../merkle/entry-line.ts'
import { fromHex, toHex } from '../merkle/hash.ts'
import { type Failed, failed, guarded } from './result.ts'
import { utf8 } from './values.ts'

/** The free texts of an entry that were disclosed and match their commitments, and the paths of the others. */
export type VerifiedTexts = { ok: true; texts: { path: string; text: string }[]; withheld: string[] }

/**
 * Verifies the free texts of an entry against the commitments in it. `line` is the entry's canonical JSON line, which
 * `verifyEntry` proves; `disclosures` is a list of `{path, salt, text}`. A commitment without a disclosure is reported
 * in `withheld`: there is a text, and it was held back or erased. A disclosure that nothing is committed to fails.
 */
export function verifyDisclosures(line: unknown, disclosures: unknown): Promise<VerifiedTexts | Failed> {
  return guarded(async () => {
    if (typeof line !== 'string') return failed('entry', 'the line is not text')
    return disclosedIn(JSON.parse(line), disclosures)
  })
}

/** The same for a parsed entry. */
export async function disclosedIn(entry: unknown, disclosures: unknown): Promise<VerifiedTexts | Failed> {
  if (!Array.isArray(disclosures)) return failed('disclosure', 'disclosures is not a list')
  const commitments = new Map<string, string>()
  for (const { commitment, path } of commitmentsIn(entry)) commitments.set(path, commitment)
  if (disclosures.length > commitments.size) return failed('disclosure', 'there are more disclosures than commitments')
  const texts: VerifiedTexts['texts'] = []
  for (const each of disclosures) {
    const disclosure = disclosureIn(each)
    if (disclosure === undefined) return failed('disclosure', 'a disclosure is not {path, salt, text}')
    const { path, text } = disclosure
    const commitment = commitments.get(path)
    if (commitment === undefined) return failed('disclosure', `nothing is committed to at ${path}`)
    if ((await commitmentTo(disclosure)) !== commitment)
      return failed('disclosure', `the text at ${path} is not the one that the entry is committed to`)
    commitments.delete(path)
    texts.push({ path, text })
  }
  return { ok: true, texts, withheld: [...commitments.keys()] }
}

/** A disclosure whose text differs in UTF-8 from every other text. */
function disclosureIn(value: unknown): Disclosure | undefined {
  if (!isRecord(value) || Object.keys(value).length !== 3) return undefined
  const { path, salt, text } = value
  if (typeof path !== 'string' || typeof salt !== 'string' || typeof text !== 'string') return undefined
  const isWhole = salt.length === 2 * saltBytes && fromHex(salt) !== undefined && isWellFormed(text)
  return isWhole ? { path, salt, text } : undefined
}

async function commitmentTo(disclosure: Disclosure): Promise<string> {
  const salt = fromHex(disclosure.salt) as Uint8Array<ArrayBuffer>
  const key = await crypto.subtle.importKey('raw', salt, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  return toHex(new Uint8Array(await crypto.subtle.sign('HMAC', key, utf8(commitmentMessage(disclosure)))))
}
