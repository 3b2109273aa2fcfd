import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { LockstepError } from '../../src/errors.ts'
import { canonicalText, type Json } from '../../src/kernel/canonical.ts'
import { defaultConfig } from '../../src/kernel/config.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { verifyLog } from '../../src/verify/verify.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { logOf, sampleEntries } from '../support/log-of.ts'

const verification = suite('entries and their schemas')

/** What a verification says of a log whose maker changed one entry and derived everything else from the result. */
async function findingOf(textOf: (entry: Entry) => string): Promise<unknown> {
  const { log } = await logOf(sampleEntries(400), { textOf })
  try {
    return (await verifyLog(log, layoutOf(temporaryRoot()), defaultConfig)).entries
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    return [error.code, error.details.check, error.details.seq]
  } finally {
    await log.close()
  }
}

verification('entries as the ledger writes them match', async () => {
  is(await findingOf(JSON.stringify), 400)
})

verification('an entry that does not match its schema and version is found, with its seq', async () => {
  const changes: readonly ((entry: Entry) => unknown)[] = [
    (entry) => ({ ...entry, type: 'audit.unheard_of' }),
    (entry) => ({ ...entry, type: 'constructor' }),
    (entry) => ({ ...entry, contract_version: 'v2' }),
    (entry) => ({ ...entry, actor: { ...entry.actor, actor_type: 'robot' } }),
    (entry) => ({ ...entry, data: { ...entry.data, outcome: 'maybe' } }),
    (entry) => ({ ...entry, data: { ...entry.data, zz_unknown: 1 } }),
    (entry) => ({ ...entry, policy_versions: { lanes: 'UNPINNED' } }),
    (entry) => ({ ...entry, zz_unknown: 'v1' }),
    (entry) => ({ ...entry, prev: { stream: 'audit' } }),
  ]
  for (const change of changes) {
    const textOf = (entry: Entry) => JSON.stringify(entry.seq === 300 ? change(entry) : entry)
    equal(await findingOf(textOf), ['VERIFY_FAILED', 'schema', 300], String(change))
  }
})

verification('a hash in upper case is accepted as the contract does, by the schema', async () => {
  const upper = ({ data, ...entry }: Entry) => {
    const members = Object.entries({ ...data, request_hash_sha256: 'AB'.repeat(32) }).sort()
    return canonicalText({ ...entry, data: Object.fromEntries(members) } as unknown as Json)
  }
  is(await findingOf((entry) => (entry.seq === 300 ? upper(entry) : JSON.stringify(entry))), 400)
})

verification('an entry that carries another seq than its place is found there', async () => {
  for (const seq of [299, 301, 0, 2 ** 40]) {
    const textOf = (entry: Entry) => JSON.stringify(entry.seq === 300 ? { ...entry, seq } : entry)
    equal(await findingOf(textOf), ['VERIFY_FAILED', 'entries', 300], String(seq))
  }
})

verification('a text that is not the canonical one is found, although its hash and the tree are right', async () => {
  const changes: readonly ((text: string) => string)[] = [
    (text) => text.replace('{', '{ '),
    (text) => `${text} `,
    (text) => text.replace('"actor"', '"\\u0061ctor"'),
    (text) => text.replace('{', '{"actor":0,'),
    (text) => text.replace('"seq":300', '"seq":300.0'),
    (text) => text.replace('"seq":300', '"seq":3e2'),
    (text) => text.replace('"place 300"', '3.5'),
    (text) => text.replace('"place 300"', '1e30'),
    (text) => text.replace('"place 300"', '-0'),
    (text) => text.replace('place 300', '\\ud800'),
    (text) => text.replace('"name":"place 300"', '"Name":"place 300"'),
    (text) => text.replace('"name":"place 300","target_type":"system"', '"target_type":"system","name":"place 300"'),
  ]
  for (const change of changes) {
    const textOf = (entry: Entry) => (entry.seq === 300 ? change(JSON.stringify(entry)) : JSON.stringify(entry))
    is(textOf(sampleEntries(301)[300] as Entry) === JSON.stringify(sampleEntries(301)[300]), false, String(change))
    equal(await findingOf(textOf), ['VERIFY_FAILED', 'canonical', 300], String(change))
  }
  const escaped = (text: string) => text.replace('place 300', '\\\\ud800 \\"')
  const textOf = (entry: Entry) => escaped(JSON.stringify(entry))
  is(await findingOf(textOf), 400)
})

verification.run()
