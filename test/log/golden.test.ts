import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { openLedger, verifyExport } from '../../src/index.ts'
import { encode } from '../../src/log/keyed/rows/codec.ts'
import { metaKey } from '../../src/log/keyed/rows/keys.ts'
import { openStore } from '../../src/log/level/store.ts'
import { root as project } from '../runner.ts'
import { refusalOf } from '../support/deliverable.ts'
import { temporaryRoot, testActor } from '../support/ledger.ts'

const golden = suite('golden ledgers')
const folder = join(project, 'fixtures/golden')
const formats = readdirSync(folder)
  .filter((file) => file.endsWith('.json'))
  .map((file) => file.replace('.json', ''))

interface Facts {
  bundle: string
  origin: string
  root: string
  size: number
  state_digest: string
}

for (const format of formats) {
  golden(`a ledger of ${format} opens, verifies and takes new entries`, async () => {
    const { facts, root } = unpacked(format)
    const { size } = facts
    const ledger = await openLedger({ dir: root, actor: testActor })
    equal(ledger.head(), { origin: facts.origin, root: facts.root, size })
    is((await ledger.workspaces.digest({ run_id: 'run_life_1' })).state_digest, facts.state_digest)
    is((await ledger.verify()).size, size)
    const { token } = await ledger.locks.acquire({ name: 'after', holder: 'x' })
    is(token, size)
    is((await ledger.consistency(size)).from_root, facts.root)
    await ledger.close()
    const again = await openLedger({ dir: root, actor: testActor })
    is((await again.verify()).size, size + 1)
    await again.close()
  })

  golden(`a bundle of ${format} verifies with the key of its ledger`, async () => {
    const { facts, root } = unpacked(format)
    const vkey = readFileSync(layoutOf(root).vkey, 'utf8')
    is((await verifyExport(join(root, facts.bundle), { vkey })).authenticity, 'checked')
  })
}

golden('there is one for each format up to the one that is written', () => equal(formats, ['format-1']))

golden('a ledger of a newer format is refused and left unchanged', async () => {
  const { facts, root } = unpacked('format-1')
  const { ledger: database } = layoutOf(root)
  const store = await openStore(database, { create: false })
  const meta = { format: 2, ledger_id: facts.origin.split('/')[1], origin: facts.origin }
  await store.write({ puts: [{ key: metaKey, value: encode(metaKey, meta) }], deletes: [] })
  await store.close()
  const before = digestsBelow(root)
  const error = await refusalOf(() => openLedger({ dir: root, actor: testActor }))
  is(error.code, 'FORMAT_TOO_NEW')
  equal([error.details.format, error.details.format_max], [2, 1])
  equal(digestsBelow(root), before)
})

golden('a bundle of a newer contract is refused', async () => {
  const { facts, root } = unpacked('format-1')
  const bundle = join(root, 'bundle')
  mkdirSync(bundle)
  untar(join(root, facts.bundle), bundle)
  const at = join(bundle, 'manifest.json')
  const manifest = JSON.parse(readFileSync(at, 'utf8')) as object
  writeFileSync(at, JSON.stringify({ ...manifest, contract_version: 'v2', new_in_v2: true }))
  is((await refusalOf(() => verifyExport(bundle))).code, 'FORMAT_TOO_NEW')
})

function unpacked(format: string): { facts: Facts; root: string } {
  const root = temporaryRoot()
  untar(join(folder, `${format}.tar.gz`), root)
  const facts = JSON.parse(readFileSync(join(folder, `${format}.json`), 'utf8')) as Facts
  return { facts, root: join(root, 'ledger') }
}

function untar(file: string, to: string): void {
  const words = ['--extract', '--gzip', '--no-same-owner', '--same-permissions', '--file', file, '--directory', to]
  const { status, stderr } = spawnSync('tar', words, { encoding: 'utf8' })
  is(status, 0, stderr)
}

/** The digest of each file below a folder, except LevelDB's own notes. */
function digestsBelow(root: string): [string, string][] {
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' }).sort()
  const files = names.filter((name) => !/\/LOG(?:\.old)?$/.test(name) && statSync(join(root, name)).isFile())
  ok(files.length > 20)
  return files.map((name) => [
    name,
    createHash('sha256')
      .update(readFileSync(join(root, name)))
      .digest('hex'),
  ])
}

golden.run()
