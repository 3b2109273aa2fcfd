import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { encode, encodeEntry, seal } from '../../src/log/keyed/rows/codec.ts'
import { readHead } from '../../src/log/keyed/rows/head-row.ts'
import { entryKey, noteKey, stateKey } from '../../src/log/keyed/rows/keys.ts'
import { verifyStored } from '../../src/log/level/repair/verify.ts'
import { logOf, sampleEntries } from '../support/log-of.ts'
import { MemoryStore } from '../support/memory-store.ts'

const size = 3_000
const { store: whole } = await logOf(sampleEntries(size), { store: new MemoryStore() })

/** What is said of a store, and of how many entries was heard before. */
async function findingOf(store: MemoryStore): Promise<unknown> {
  let heard = 0
  const entry = ({ seq }: Entry) => {
    is(seq, heard)
    heard += 1
  }
  try {
    const { rows } = await verifyStored(store, { headFile: undefined, checks: [{ entry }] })
    return { rows, heard }
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    return { code: error.code, check: error.details.check, seq: error.details.seq, heard }
  }
}

/** A copy in which the stored texts of some entries are others, with the right checksums. */
function withTexts(change: (text: string) => string, ...seqs: number[]): MemoryStore {
  const store = whole.copy()
  for (const seq of seqs) {
    const key = entryKey(seq)
    const sealed = Buffer.from(whole.get(key) ?? [])
    store.put(key, encodeEntry(key, { text: change(sealed.subarray(0, -4).toString()) }).value)
  }
  return store
}

const verification = suite('the verification of what is stored')

verification('finds nothing in what was written', async () => {
  equal(await findingOf(whole), { rows: 2, heard: size })
})

verification('names the first of several entries that differ from what was hashed', async () => {
  const changed = withTexts((text) => text.replace('note', 'lie!'), 2_900, 700, 1_200)
  equal(await findingOf(changed), { code: 'VERIFY_FAILED', check: 'leaves', seq: 700, heard: 512 })
})

verification('compares the checksums of state and notes, even if no check takes them', async () => {
  const { generation } = readHead(whole)
  for (const key of [stateKey(generation, 'workspace'), noteKey(1)]) {
    const value = encode(key, { state: 1 })
    const store = whole.copy()
    store.put(key, value)
    equal(await findingOf(store), { rows: 2, heard: size })
    store.put(key, value.fill(value.at(-1) === 0 ? 1 : 0, value.length - 1))
    const { code, check } = (await findingOf(store)) as { code?: string; check?: string }
    equal({ code, check }, { code: 'LEDGER_CORRUPT', check: 'bytes' })
  }
})

verification('takes no text but the canonical one', async () => {
  for (const change of [
    (text: string) => text.replace('{', '{ '),
    (text: string) => text.replace('"actor"', '"\\u0061ctor"'),
    (text: string) => text.replace('{', '{"actor":0,'),
  ]) {
    equal(await findingOf(withTexts(change, 300)), { code: 'VERIFY_FAILED', check: 'leaves', seq: 300, heard: 256 })
  }
})

verification('takes no bytes that only decode to the text that was hashed', async () => {
  const store = withTexts((text) => text.replace('note 300', 'note \ufffd'), 300)
  const key = entryKey(300)
  const bytes = Buffer.from(store.get(key) ?? []).subarray(0, -4)
  const at = bytes.indexOf('\ufffd')
  store.put(key, seal(key, Buffer.concat([bytes.subarray(0, at), Buffer.of(0xff), bytes.subarray(at + 3)])))
  equal(await findingOf(store), { code: 'VERIFY_FAILED', check: 'bytes', seq: 300, heard: 256 })
})

verification('names a wrong tile before a later entry that is missing or unreadable', async () => {
  const missing = withTexts((text) => text.replace('note', 'lie!'), 300)
  missing.delete(entryKey(1_000))
  equal(await findingOf(missing), { code: 'VERIFY_FAILED', check: 'leaves', seq: 300, heard: 256 })
  const unread = withTexts((text) => text.slice(1), 1_000)
  equal(await findingOf(unread), { code: 'LEDGER_CORRUPT', check: 'bytes', seq: 1_000, heard: 768 })
})

verification.run()
