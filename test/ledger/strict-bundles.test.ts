import { suite } from 'uvu'
import { ok } from 'uvu/assert'
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

exports.run()
