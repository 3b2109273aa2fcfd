import { textPlacesOf } from '../domain/free-texts.ts'
import type { Entry } from '../kernel/entry.ts'
import { textPathsIn } from '../kernel/free-text.ts'
import type { Check } from '../log/check.ts'
import { differs } from '../log/corrupt.ts'
import { commitmentTo, type StoredEntry } from '../log/free-texts.ts'
import { commitmentsIn, type HeldText } from '../merkle/commitment.ts'

/**
 * Checks that each entry of format 2 has a commitment in the place of each free text and nowhere else, that entries of
 * format 1 have none, and that each commitment is to the text that is stored with the entry, or that the text is marked
 * as erased (`ErasureVerification`). Errors: VERIFY_FAILED (`texts`).
 */
export class TextVerification implements Check {
  #format = 1

  entry(entry: Entry, { text, texts = [] }: StoredEntry): void {
    const { data, type } = entry
    if (type === 'ledger.created') this.#format = Number(data.format)
    if (type === 'ledger.upgraded') this.#format = Number(data.to)
    const places = this.#format < 2 ? undefined : textPlacesOf(type)
    const expected = new Set(places === undefined ? [] : textPathsIn(data, places, '/data'))
    if (expected.size === 0 && texts.length === 0 && !text.includes('{"commitment":')) return
    const held = new Map(texts.map((each) => [each.path, each]))
    for (const { commitment, path } of commitmentsIn(JSON.parse(text))) {
      const found = held.get(path)
      if (!expected.delete(path)) throw wrong(entry, path, 'has a commitment in a place without free text')
      if (found === undefined) throw wrong(entry, path, 'has no text for its commitment')
      held.delete(path)
      this.#compare(entry, commitment, found)
    }
    for (const path of expected) throw wrong(entry, path, 'has a free text without a commitment')
    for (const path of held.keys()) throw wrong(entry, path, 'has a text that nothing is committed to')
    if (new Set(texts.map(({ path }) => path)).size !== texts.length) throw wrong(entry, '', 'has a text twice')
  }

  #compare(entry: Entry, commitment: string, held: HeldText): void {
    const { path } = held
    if (!('text' in held)) {
      if (Object.keys(held).join() === 'path') return
      throw wrong(entry, path, 'has neither a text nor the mark of an erased one')
    }
    const isWhole = Object.keys(held).join() === 'path,salt,text' && saltPattern.test(held.salt)
    if (!isWhole || commitmentTo(held) !== commitment)
      throw wrong(entry, path, 'has another text than it is committed to')
  }
}

const saltPattern = /^[0-9a-f]{64}$/

function wrong({ seq }: Entry, path: string, what: string): Error {
  return differs('texts', `entry ${seq} ${what}: ${path}`, { path, seq })
}
