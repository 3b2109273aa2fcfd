import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { LockstepError } from '../../src/errors.ts'
import { verifyExport } from '../../src/nouns/exports/export-verify.ts'
import { type Bundle, changed, pack, relisted, resealed, spread, unpack } from '../support/bundle.ts'
import { bundlesIn, codeOf, failedCheck } from '../support/exports.ts'
import { withLedger } from '../support/ledger.ts'
import { verifyBundle } from '../support/second-verifier.ts'

const exports = suite('verifying export bundles')

const of = bundlesIn(exports)

of('fail with a byte flipped, anywhere', async ({ create, place }) => {
  const { file } = await create({ lock: 'reports' })
  const bytes = readFileSync(file)
  const path = place('flipped.tar.gz')
  for (let at = 0; at < bytes.length; at += 1) {
    const flipped = Buffer.from(bytes)
    flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8))
    writeFileSync(path, flipped)
    assert.is(await failedCheck(path), 'archive', `byte ${at}`)
  }
  for (const other of [bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.of(0)]), Buffer.alloc(0)]) {
    writeFileSync(path, other)
    assert.is(await failedCheck(path), 'archive')
  }

  const files = unpack(file)
  const folder = spread(files, place('unpacked'))
  const seen = new Set<string>()
  for (const [name, content] of files) {
    for (let at = 0; at < content.length; at += 17) {
      const flipped = Buffer.from(content)
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 7))
      writeFileSync(join(folder, name), flipped)
      seen.add(await failedCheck(folder))
    }
    writeFileSync(join(folder, name), content)
  }
  assert.equal([...seen].sort(), ['checkpoint', 'key', 'manifest', 'statement'])
  await verifyExport(folder, { unauthenticated: true })
})

const lines = (change: (all: string[]) => string[]) => (text: string) =>
  `${change(text.trimEnd().split('\n')).join('\n')}\n`
const dropped = lines((all) => all.filter((_, index) => index !== 3))
const swapped = lines(([first = '', second = '', ...rest]) => [second, first, ...rest])
const cut = lines((all) => all.slice(0, -2))

of('fail with a line dropped or swapped, a tail cut, a manifest or anything else changed', async (stage) => {
  const { create, place, root, vkey } = stage
  const { file } = await create({ run_id: 'run_top_1' })
  const files = unpack(file)
  let packed = 0
  const packAs = (changes: Bundle) => {
    packed += 1
    return pack(changes, place(`changed-${packed}.tar.gz`))
  }
  const both = (change: (text: string) => string) =>
    changed(changed(files, 'entries.jsonl', change), 'proofs/inclusion.jsonl', change)

  // By who has not the key: the statement no longer holds, and says of what.
  for (const name of ['entries.jsonl', 'proofs/inclusion.jsonl'] as const) {
    for (const change of [dropped, swapped, cut]) {
      const path = await packAs(changed(files, name, change))
      assert.is(await failedCheck(path, vkey), 'statement')
      await verifyExport(path, { unauthenticated: true }).catch(({ message }: Error) =>
        assert.ok(message.includes(name), message),
      )
      assert.throws(() => verifyBundle(path, vkey), /second verifier/)
    }
  }
  const reason = (text: string) => text.replace('internal_review', 'other')
  assert.is(await failedCheck(await packAs(changed(files, 'manifest.json', reason))), 'statement')
  assert.is(await failedCheck(await packAs(changed(files, 'manifest.json', (text) => text.slice(1)))), 'manifest')

  // By the owner of the key, who signs again: what is left out dangles, or is not what the manifest says.
  const sealed = async (changes: Bundle) => failedCheck(await packAs(resealed(changes, root)), vkey)
  assert.is(await sealed(changed(files, 'entries.jsonl', dropped)), 'proofs')
  assert.is(await sealed(relisted(both(dropped))), 'entries')
  assert.is(await sealed(relisted(both(swapped))), 'entries')
  assert.is(await sealed(relisted(both(cut))), 'manifest')
  assert.is(await sealed(changed(files, 'entries.jsonl', (text) => text.replace('agent-1', 'agent-2'))), 'proofs')
  assert.is(await sealed(changed(files, 'entries.jsonl', (text) => text.replace('{', '{ '))), 'entries')
  assert.is(await sealed(changed(files, 'entries.jsonl', (text) => text.slice(0, -1))), 'entries')
  assert.is(await sealed(changed(files, 'proofs/inclusion.jsonl', (text) => `${text}${text}`)), 'proofs')
  assert.is(await sealed(changed(files, 'manifest.json', reason)), 'manifest')
  assert.is(
    await sealed(changed(files, 'manifest.json', (text) => text.replace('had', 'has').replace('every', 'each'))),
    'manifest',
  )
  assert.is(await sealed(changed(files, 'README.txt', (text) => `${text}!`)), 'manifest')
})

of('fail under another key, and under a key that is none', async ({ create }) => {
  const { file } = await create({ lock: 'reports' })
  await withLedger(async (_, root) => {
    const other = readFileSync(join(root, '.lockstep/key.pub'), 'utf8')
    assert.is(await failedCheck(file, other), 'key')
    assert.throws(() => verifyBundle(file, other), /the key is another/)
  })
  const refused = await verifyExport(file, { vkey: 'none' }).catch((error: unknown) => error)
  assert.is((refused as LockstepError).code, 'INVALID_INPUT')
})

of('with unsafe paths, links, other files or bombs are refused', async ({ create, place }) => {
  const files = unpack((await create({ lock: 'reports' })).file)
  const first = [...files][0] as [string, Buffer]
  const others: Bundle[] = [
    new Map([['../README.txt', first[1]], ...[...files].slice(1)]),
    new Map([['/tmp/README.txt', first[1]], ...[...files].slice(1)]),
    new Map([...files, ['zzz', Buffer.alloc(1)]]),
    new Map([...files].slice(1)),
    new Map([...files].reverse()),
    new Map([...files, ['README.txt', Buffer.alloc(8 * 1024 * 1024)]]),
  ]
  for (const [index, bundle] of others.entries()) {
    assert.is(await failedCheck(await pack(bundle, place(`unsafe-${index}.tar.gz`))), 'archive', `${index}`)
  }
  // A line without an end is given up before the statement is looked at.
  const bomb = new Map([...files, ['entries.jsonl', Buffer.alloc(8 * 1024 * 1024, 0x20)]])
  assert.is(await failedCheck(await pack(bomb, place('bomb.tar.gz'))), 'entries')

  const folder = spread(files, place('folder'))
  symlinkSync('/etc/hostname', join(folder, 'link'))
  assert.is(await failedCheck(folder), 'archive')
  const linked = spread(new Map([...files].slice(1)), place('linked'))
  symlinkSync(join(folder, 'README.txt'), join(linked, 'README.txt'))
  assert.is(await failedCheck(linked), 'archive')
  assert.is(await codeOf(verifyExport(place('nothing.tar.gz'), { unauthenticated: true })), 'NOT_FOUND')
  assert.ok(existsSync(folder))
})

exports.run()
