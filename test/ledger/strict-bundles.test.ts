import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { verifyExport } from '../../src/nouns/exports/export-verify.ts'
import { changed, pack, unpack } from '../support/bundle.ts'
import { bundlesIn, failedCheck } from '../support/exports.ts'

const exports = suite('strict bundles')
const of = bundlesIn(exports)

of('a duplicate or unknown member anywhere in a bundle is refused', async ({ create, place }) => {
  const { file } = await create({ lock: 'reports' })
  const files = unpack(file)
  let packed = 0
  for (const [name, check] of [
    ['manifest.json', 'statement'],
    ['statement.json', 'statement'],
    ['entries.jsonl', 'statement'],
    ['proofs/inclusion.jsonl', 'statement'],
  ] as const) {
    for (const more of ['"bundle_id":"x",', '"seq":0,"seq":0,', '"unknown":1,']) {
      packed += 1
      const path = await pack(
        changed(files, name, (text) => text.replace('{', `{${more}`)),
        place(`twice-${packed}.tar.gz`),
      )
      ok(['manifest', check].includes(await failedCheck(path)), `${name} with ${more}`)
    }
  }
})

of('the bundle of a case has the statements about the case, marked', async ({ create, ledger, vkey }) => {
  const event = { action_type: 'system', outcome: 'success' } as const
  const events = ['CASE-17', 'CASE-18'].map((case_id) => ({ ...event, case_id }))
  await ledger.audit.append({ events })
  const { file } = await create({ case_id: 'CASE-17' })
  const { entries } = (await verifyExport(file, { vkey })).proven
  const lines = String(unpack(file).get('entries.jsonl')).trimEnd().split('\n')
  is(lines.length, entries)
  const stated = lines.map((line) => JSON.parse(line)).filter(({ data }) => data.stated === true)
  equal(
    stated.map(({ data }) => data.case_id),
    ['CASE-17'],
  )
})

exports.run()
