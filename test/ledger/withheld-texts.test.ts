import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { verifyExport } from '../../src/nouns/exports/export-verify.ts'
import { type Bundle, changed, pack, resealed, unpack } from '../support/bundle.ts'
import { bundlesIn, codeOf, failedCheck } from '../support/exports.ts'
import { verifyBundle } from '../support/second-verifier.ts'

const exports = suite('texts that a bundle withholds')

const of = bundlesIn(exports)

const select = { run_id: 'run_top_1' }
const redactionOf = (...withheld: string[]) => ({ redaction: { redaction_applied: true, withheld } })

/** Whether any file of a bundle has the words. */
function has(file: string, words: string): boolean {
  return [...unpack(file).values()].some((bytes) => bytes.toString('utf8').includes(words))
}

of('are in none of its files, and its reader sees that they exist and can check all others', async (stage) => {
  const { create, vkey } = stage
  const whole = await create(select)
  const { texts } = (await verifyExport(whole.file, { vkey })).proven
  assert.ok(texts.disclosed > 5)
  assert.equal([texts.erased, texts.withheld], [0, 0])
  assert.ok(has(whole.file, '"text":"done"'), 'an outcome is disclosed')

  const some = await create(select, redactionOf('outcome_reason'))
  assert.not(has(some.file, '"text":"done"'))
  const left = (await verifyExport(some.file, { vkey })).proven.texts
  assert.ok(left.withheld > 0 && left.disclosed > 0)
  assert.ok(left.withheld + left.disclosed >= texts.disclosed)
  assert.ok(verifyBundle(some.file, vkey).some(({ data }) => JSON.stringify(data).includes('{"commitment":"')))

  const none = await create(select, redactionOf('all'))
  assert.is((await verifyExport(none.file, { vkey })).proven.texts.disclosed, 0)
  assert.not(has(none.file, '"salt"'))
})

of('must be exactly those that it names', async ({ create, place, root, vkey }) => {
  const proofs = 'proofs/inclusion.jsonl'
  const { size } = (await verifyExport((await create(select)).file, { vkey })).proven
  const whole = unpack((await create(select, { size })).file)
  const some = unpack((await create(select, { ...redactionOf('outcome_reason'), size })).file)
  const checkOf = async (files: Bundle) => failedCheck(await pack(resealed(files, root), place('changed.tar.gz')), vkey)
  const without = changed(new Map(whole), proofs, (text) =>
    text.replace(/"disclosures":\[.*?\],"leaf_hash"/, '"leaf_hash"'),
  )
  assert.is(await checkOf(without), 'proofs', 'a text is missing that is not withheld')
  const shown = new Map([...some, [proofs, whole.get(proofs) as Buffer]])
  assert.is(await checkOf(shown), 'proofs', 'a text is there that is withheld')
  const other = changed(new Map(whole), proofs, (text) => text.replace('"text":"done"', '"text":"lost"'))
  assert.is(await checkOf(other), 'proofs', 'a text is another one')
})

of('are named by their members, and a name that is none is refused', async ({ create }) => {
  assert.is(await codeOf(create(select, redactionOf('outcome_reasons'))), 'INVALID_INPUT')
  assert.is(await codeOf(create(select, redactionOf())), 'INVALID_INPUT')
  const redaction = { redaction_applied: false, withheld: ['notes'] }
  assert.is(await codeOf(create(select, { redaction })), 'INVALID_INPUT')
})

exports.run()
