import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { objectKey, objectRange } from '../../src/log/keyed/rows/keys.ts'
import { openStore } from '../../src/log/level/store.ts'
import { temporaryRoot } from '../support/ledger.ts'

const rewriting = suite('writing the files of a database again')
const digest = 'ab'.repeat(32)
const key = objectKey(digest, 0)
const [text, mark] = [Buffer.from('a text that is not compressed'), Buffer.of(0xff)]
const isKept = (_: Uint8Array, value: Uint8Array) => value[0] === 0xff

/** A database whose only table has a text and what took its place. */
async function inOneTable() {
  const folder = temporaryRoot()
  const store = await openStore(folder, { create: true })
  await store.write({ puts: [{ key, value: text }], deletes: [] })
  await store.write({ puts: [{ key, value: mark }], deletes: [] })
  await store.flush()
  const left = () => readdirSync(folder).filter((name) => readFileSync(join(folder, name)).includes(text))
  return { left, store }
}

rewriting('finds a value that a table still has, which a compaction alone leaves', async () => {
  const { left, store } = await inOneTable()
  is(await store.rewrite([objectRange(digest)], isKept), false)
  equal(left().length, 1)
  await store.close()
})

rewriting('drops a value once a later table has another one', async () => {
  const { left, store } = await inOneTable()
  await store.write({ puts: [{ key, value: mark }], deletes: [] })
  is(await store.rewrite([objectRange(digest)], isKept), true)
  equal(left(), [])
  await store.close()
})

rewriting('says that a reader keeps a value, and drops it once the reader has closed', async () => {
  const { left, store } = await inOneTable()
  await store.write({ puts: [{ key, value: text }], deletes: [] })
  const reader = store.snapshot()
  await store.write({ puts: [{ key, value: mark }], deletes: [] })
  is(await store.rewrite([objectRange(digest)], isKept), false)
  await reader.close()
  await store.write({ puts: [{ key, value: mark }], deletes: [] })
  is(await store.rewrite([objectRange(digest)], isKept), true)
  equal(left(), [])
  await store.close()
})

rewriting.run()
