import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { openLedger, verifyExport } from '../../src/index.ts'
import { configSchema } from '../../src/kernel/config.ts'
import { hold } from '../../src/lease.ts'
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
    // Its configuration comes in force at the first open.
    const { origin, size: opened } = await ledger.head.get()
    equal([origin, opened, (await ledger.config.show()).seq], [facts.origin, size + 1, size])
    is((await ledger.workspaces.digest({ run_id: 'run_life_1' })).state_digest, facts.state_digest)
    is((await ledger.log.verify()).size, opened)
    const { token } = await hold(ledger, { name: 'after', holder: 'x' })
    is(token, opened)
    is((await ledger.log.consistency({ from: size })).from_root, facts.root)
    await ledger.close()
    const again = await openLedger({ dir: root, actor: testActor })
    is((await again.log.verify()).size, opened + 1)
    await again.close()
  })

  golden(
    `a ledger of ${format} takes its configuration from the file once, at the first open that can write`,
    async () => {
      const { facts, root } = unpacked(format)
      const { config } = layoutOf(root)
      const text = readFileSync(config, 'utf8')
      const refusedBy = async (change: () => void) => {
        change()
        const { code, message } = await refusalOf(() => openLedger({ dir: root, actor: testActor }))
        is(code, 'CONFIG_INVALID')
        return message
      }
      ok((await refusedBy(() => writeFileSync(config, '{'))).includes('config.json:1'))
      ok((await refusedBy(() => rmSync(config))).includes('is missing'), 'what decides is never guessed')
      writeFileSync(config, text)
      const reader = await openLedger({ dir: root, actor: testActor, snapshot: true })
      equal([(await reader.config.show()).seq, reader.settings], [null, configSchema.parse(JSON.parse(text))])
      await reader.close()
      const ledger = await openLedger({ dir: root, actor: testActor })
      const { data, seq, type } = await ledger.log.entry({ seq: facts.size })
      equal([seq, type, data.previous], [facts.size, 'config.loaded', null])
      await ledger.close()
      writeFileSync(config, JSON.stringify({ operators: [testActor.actor_id] }))
      const again = await openLedger({ dir: root, actor: testActor })
      equal(again.settings, configSchema.parse(JSON.parse(text)))
      is((await again.head.get()).size, facts.size + 1)
      await again.close()
    },
  )

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

golden('a head file of a newer format is refused before anything else is read, also after a crash', async () => {
  const { root } = unpacked('format-1')
  const { head, ledger: database, owner } = layoutOf(root)
  rmSync(owner)
  writeFileSync(head, JSON.stringify({ format: 2, tree: { size: 9 } }))
  writeFileSync(join(database, 'CURRENT'), 'as a newer LevelDB has it')
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
