import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { documents } from '../../contract/documents.ts'
import { root } from '../runner.ts'
import { compiled } from '../support/compiled.ts'
import { temporaryRoot } from '../support/ledger.ts'

const test = suite('npm run contract')

/** The generator, run in a folder. */
function generate(cwd: string, ...args: string[]) {
  const child = spawnSync(process.execPath, [compiled('contract/generate.ts'), ...args], { cwd, encoding: 'utf8' })
  return { status: child.status, stderr: child.stderr }
}

test('has written what is committed', async () => {
  for (const [path, text] of await documents()) {
    assert.is(readFileSync(join(root, path), 'utf8'), text, `${path}: run npm run contract`)
  }
  assert.equal(generate(root, '--check'), { status: 0, stderr: '' })
})

test('with --check writes nothing, exits 1 and names each file that differs or that nothing generates', async () => {
  const folder = temporaryRoot()
  const missing = generate(folder, '--check')
  assert.is(missing.status, 1)
  for (const path of (await documents()).keys()) assert.ok(missing.stderr.includes(path), path)
  assert.equal(readdirSync(folder), [])

  assert.is(generate(folder).status, 0)
  assert.is(generate(folder, '--check').status, 0)

  const changed = join(folder, 'contract/v1/codes.yaml')
  const text = readFileSync(changed, 'utf8')
  writeFileSync(changed, text.replace('exit_code: 75', 'exit_code: 5'))
  const differing = generate(folder, '--check')
  assert.is(differing.status, 1)
  assert.equal(differing.stderr.trim().split('\n').length, 1)
  assert.match(differing.stderr, /codes\.yaml/)
  assert.ok(readFileSync(changed, 'utf8') !== text)

  writeFileSync(changed, text)
  const stray = join(folder, 'contract/v1/schemas/former.schema.yaml')
  writeFileSync(stray, '')
  assert.match(generate(folder, '--check').stderr, /^contract\/v1\/schemas\/former\.schema\.yaml /)
  rmSync(stray)
  assert.is(generate(folder, '--check').status, 0)
})

test.run()
