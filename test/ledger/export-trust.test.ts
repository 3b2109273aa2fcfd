import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readKey } from '../../src/disk/key-file.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import { hold } from '../../src/lease.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { sha256 } from '../../src/log/sha256.ts'
import { signCheckpoint } from '../../src/merkle/checkpoint.ts'
import { keyIdOf } from '../../src/merkle/vkey.ts'
import { type ExportTrust, verifyExport } from '../../src/nouns/exports/export-verify.ts'
import { changed, pack, resealed, unpack } from '../support/bundle.ts'
import { refusalOf } from '../support/deliverable.ts'
import { bundlesIn, codeOf, failedCheck } from '../support/exports.ts'

const exports = suite('what a bundle proves to whom')

const of = bundlesIn(exports)

const keptAt = async (ledger: LocalLedger, size: number) => ({
  file: `kept-${size}`,
  note: (await ledger.head.signed({ size })).checkpoint,
})
async function refusal(path: string, trust: ExportTrust): Promise<unknown[]> {
  const { code, details } = await refusalOf(() => verifyExport(path, trust))
  return [code, details.check ?? details.from, details.to]
}

of('without a key or a checkpoint nothing is verified, unless the reader asks for just that', async (stage) => {
  const { create, vkey } = stage
  const { file } = await create({ lock: 'reports' })
  for (const trust of [undefined, {}, { vkey: undefined }, { checkpoints: [] }, { unauthenticated: false }]) {
    assert.is(await codeOf(verifyExport(file, trust)), 'INVALID_INPUT')
  }
  assert.is(await codeOf(verifyExport(file, { unauthenticated: true, vkey })), 'INVALID_INPUT')
  assert.is((await verifyExport(file, { unauthenticated: true })).authenticity, 'unchecked')
})

of(
  'a kept checkpoint is the beginning of the bundle’s tree, or goes on from it, by a proof from anyone',
  async (stage) => {
    const { create, ledger, vkey } = stage
    const early = (await ledger.head.get()).size - 4
    const { file, bundle } = await create({ lock: 'reports' })
    const size = Number(bundle.contents.filters?.find(({ key }) => key === 'size')?.value)
    const { size: late } = await ledger.head.get()
    const [before, same, after] = [await keptAt(ledger, early), await keptAt(ledger, size), await keptAt(ledger, late)]
    const growths = [
      await ledger.log.consistency({ from: early, to: size }),
      await ledger.log.consistency({ from: size }),
    ]

    const verified = await verifyExport(file, { checkpoints: [before, same, after], growths })
    assert.is(verified.authenticity, 'checked')
    assert.equal(
      verified.proven.checkpoints.map(({ file, size }) => [file, size]),
      [early, size, late].map((size) => [`kept-${size}`, size]),
    )
    assert.equal(
      (await verifyExport(file, { checkpoints: [same], vkey })).proven.checkpoints[0]?.root,
      verified.proven.root,
    )

    // What cannot be shown is named, and what is shown wrongly is not accepted.
    assert.equal(await refusal(file, { checkpoints: [before], vkey }), ['INVALID_INPUT', early, size])
    assert.equal(await refusal(file, { checkpoints: [after], growths: growths.slice(0, 1) }), [
      'INVALID_INPUT',
      size,
      late,
    ])
    const wrong = growths.map(({ proof, ...sizes }) => ({ ...sizes, proof: proof.slice(1) }))
    assert.equal((await refusal(file, { checkpoints: [before], growths: wrong })).slice(0, 2), [
      'VERIFY_FAILED',
      'checkpoint',
    ])
  },
)

of('a bundle from a fork of the ledger is refused by whoever kept a checkpoint', async (stage) => {
  const { create, ledger, root, vkey } = stage
  const { file, bundle } = await create({ lock: 'reports' })
  const size = Number(bundle.contents.filters?.find(({ key }) => key === 'size')?.value)
  // The key signs another tree of the same size, and of a smaller one: a rewritten history.
  const { publicKey, sign } = readKey(layoutOf(root))
  const origin = (await ledger.head.get()).origin
  const signer = { keyId: keyIdOf({ name: origin, publicKey }, sha256), name: origin, sign }
  const forked = async (at: number) => ({
    file: 'fork',
    note: await signCheckpoint({ origin, root: sha256(Buffer.of(at)), size: at }, [signer]),
  })
  const early = size - 3
  const growths = [await ledger.log.consistency({ from: early, to: size })]
  for (const at of [size, early]) {
    const trust = { checkpoints: [await forked(at)], growths, vkey }
    assert.equal((await refusal(file, trust)).slice(0, 2), ['VERIFY_FAILED', 'checkpoint'])
  }
  const { note } = await keptAt(ledger, size)
  const foreign = { file: 'kept', note: note.replace(origin, 'lockstep.local/other') }
  assert.equal((await refusal(file, { checkpoints: [foreign] })).slice(0, 2), ['VERIFY_FAILED', 'checkpoint'])
})

of('the bundle_id depends on the root, so a fork of one size has other ids', async ({ create, ledger, vkey }) => {
  const { file, bundle } = await create({ lock: 'reports' })
  const files = unpack(file)
  const statement = JSON.parse(
    Buffer.from(JSON.parse(String(files.get('statement.json'))).payload, 'base64').toString('utf8'),
  )
  assert.is(statement.predicateType, 'urn:lockstep:export:v2')
  const { proven } = await verifyExport(file, { vkey })
  assert.equal([proven.format, proven.bundle_id], [2, bundle.bundle_id])
  const named = {
    bundle_kind: 'internal_review',
    origin: proven.origin,
    root: proven.root,
    selection: proven.selection,
    size: proven.size,
  }
  assert.is(
    bundle.bundle_id,
    `bnd_${Buffer.from(sha256(Buffer.from(JSON.stringify(named))))
      .toString('hex')
      .slice(0, 32)}`,
  )
  assert.is((await ledger.exports.get({ bundle_id: bundle.bundle_id })).bundle.bundle_id, bundle.bundle_id)
})

of('a statement of another format is refused, as newer or as none of this bundle', async (stage) => {
  const { create, place, root, vkey } = stage
  const files = unpack((await create({ lock: 'reports' })).file)
  const restated = (type: string) =>
    resealed(
      changed(files, 'statement.json', (text) => {
        const { payload, ...rest } = JSON.parse(text)
        const statement = Buffer.from(payload, 'base64').toString('utf8').replace('urn:lockstep:export:v2', type)
        return JSON.stringify({ ...rest, payload: Buffer.from(statement).toString('base64') })
      }),
      root,
    )
  const packed = async (type: string) => pack(restated(type), place('restated.tar.gz'))
  assert.is(await codeOf(verifyExport(await packed('urn:lockstep:export:v3'), { vkey })), 'FORMAT_TOO_NEW')
  assert.is(await failedCheck(await packed('urn:lockstep:export:v1'), vkey), 'manifest')
  for (const type of ['urn:lockstep:export:v0', 'urn:other', ''])
    assert.is(await failedCheck(await packed(type), vkey), 'statement')
})

of('the record beside an archive fits the bundle, or the bundle is refused', async ({ create, vkey }) => {
  const { bundle, file, record_file } = await create({ lock: 'reports' })
  const text = readFileSync(record_file, 'utf8')
  const { record } = await verifyExport(file, { vkey })
  assert.equal(record, {
    export_reason: 'asked for by the court',
    file: record_file,
    package_locator: bundle.integrity.package_locator,
  })
  for (const other of [
    text.replace('"internal_review"', '"other"'),
    text.replace(bundle.integrity.package_hash_sha256, 'ab'.repeat(32)),
    text.replace(bundle.created_at_utc, '2020-01-01T00:00:00.000Z'),
    text.replace('"status"', '"status" '),
    text.replace('{', '{ "approvals": [],'),
    '{}',
    '',
  ]) {
    assert.is.not(other, text)
    writeFileSync(record_file, other)
    assert.is(await failedCheck(file, vkey), 'record', other.slice(0, 80))
  }
  // Only these two are nobody's statement, and are shown as that.
  writeFileSync(record_file, text.replace('asked for by the court', 'forged'))
  assert.is((await verifyExport(file, { vkey })).record?.export_reason, 'forged')
  rmSync(record_file)
  assert.is((await verifyExport(file, { vkey })).record, null)
})

of('what only the owner of the key says is apart from what is proven', async ({ create, ledger, vkey }) => {
  const { size } = await ledger.head.get()
  const claimedOf = async (select: Parameters<typeof create>[0], at: number) =>
    (await verifyExport((await create(select, { bundle_name: 'Production 1', size: at })).file, { vkey })).claimed
  const tree = await claimedOf({ run_id: 'run_top_1' }, size)
  assert.equal(
    [tree.complete, tree.open_runs, tree.stated],
    [`no run below this run, and no end of a run, below size ${size} was left out`, 0, { bundle_name: 'Production 1' }],
  )
  const last = await ledger.log.entry({ seq: size - 1 })
  assert.is(tree.created_at_utc, last.time)
  assert.is((await claimedOf({ from: 2, to: 6 }, size)).complete, null)
  assert.match(String((await claimedOf({ lock: 'reports' }, size)).complete), /no later entry of the lock/)
  assert.match(String((await claimedOf({ case_id: 'CASE-17' }, size)).complete), /no run of the case/)
})

of('a head of a ledger that was appended to meanwhile shows the same', async ({ create, ledger, vkey }) => {
  const kept = await keptAt(ledger, (await ledger.head.get()).size)
  const { file } = await create({ lock: 'reports' })
  await hold(ledger, { name: 'charts', holder: 'agent-1' })
  assert.is((await verifyExport(file, { checkpoints: [kept], vkey })).proven.checkpoints.length, 1)
})

exports.run()
