import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { lockstep } from '../support/command.ts'
import { contentOf, makeDeliverable } from '../support/deliverable.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'

const init = suite('lockstep init')

init('edits no file of the root, and makes .lockstep accessible only to its owner', async () => {
  const root = temporaryRoot()
  makeDeliverable(root)
  writeFileSync(join(root, '.gitignore'), 'node_modules\n')
  const before = contentOf(root)
  const { json, status, stdout } = await lockstep(['init', root])
  is(status, 0, stdout)
  equal(json.gitignore_added, [])
  const after = contentOf(root)
  for (const name of Object.keys(after)) if (name.startsWith('.lockstep')) delete after[name]
  equal(after, before)
  is(statSync(join(root, '.lockstep')).mode & 0o777, 0o700)
  await endsWithVerify(root)
})

for (const [what, before, after, added] of [
  ['no .gitignore', undefined, '.lockstep/\n.lock\n', ['.lockstep/', '.lock']],
  ['one without a last line break', 'dist', 'dist\n.lockstep/\n.lock\n', ['.lockstep/', '.lock']],
  ['one of the lines there', '.lock\r\ndist\r\n', '.lock\r\ndist\r\n.lockstep/\n', ['.lockstep/']],
  ['both there', '.lock\n.lockstep/\n', '.lock\n.lockstep/\n', []],
] as const) {
  init(`--gitignore adds the lines that are missing: ${what}`, async () => {
    const root = temporaryRoot()
    const path = join(root, '.gitignore')
    if (before !== undefined) writeFileSync(path, before)
    const { json, status, stdout } = await lockstep(['init', root, '--gitignore'])
    is(status, 0, stdout)
    equal(json.gitignore_added, [...added])
    is(existsSync(path) && readFileSync(path, 'utf8'), after)
    await endsWithVerify(root)
  })
}

init('refuses an origin that no key can have, and leaves nothing behind', async () => {
  const root = temporaryRoot()
  const { json, status } = await lockstep(['init', root, '--origin', 'a b+c'])
  equal([status, json.code], [2, 'INVALID_INPUT'])
  equal(contentOf(root), {})
})

init.run()
