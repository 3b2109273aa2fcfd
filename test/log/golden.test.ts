import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { openLedger, verifyExport } from '../../src/index.ts'
import { configSchema } from '../../src/kernel/config.ts'
import { formatVersion } from '../../src/kernel/format.ts'
import { hold } from '../../src/lease.ts'
import { encode } from '../../src/log/keyed/rows/codec.ts'
import { metaKey } from '../../src/log/keyed/rows/keys.ts'
import { openStore } from '../../src/log/level/store.ts'
import { refusalOf } from '../support/deliverable.ts'
import { goldenFolder, goldenLedger, untar } from '../support/golden.ts'
import { testActor } from '../support/ledger.ts'

const golden = suite('golden ledgers')
const formats = readdirSync(goldenFolder)
  .filter((file) => file.endsWith('.json'))
  .map((file) => file.replace('.json', ''))

for (const format of formats) {
  const isOldest = format === 'format-1'
  golden(`a ledger of ${format} opens, verifies and takes new entries`, async () => {
    const { facts, root } = goldenLedger(format)
    const { size } = facts
    const ledger = await openLedger({ dir: root, actor: testActor })
    const { origin, size: opened } = await ledger.head.get()
    // The first open raises an older format, and then puts the configuration in force.
    equal([origin, opened], [facts.origin, isOldest ? size + 2 : size])
    if (isOldest) {
      is((await ledger.config.show()).seq, size + 1)
      const { data, type } = await ledger.log.entry({ seq: size })
      equal([type, data], ['ledger.upgraded', { from: 1, head_size: size, root: facts.root, size, to: formatVersion }])
    }
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

  golden(`a bundle of ${format} verifies with the key of its ledger`, async () => {
    const { facts, root } = goldenLedger(format)
    const vkey = readFileSync(layoutOf(root).vkey, 'utf8')
    is((await verifyExport(join(root, facts.bundle), { vkey })).authenticity, 'checked')
  })
}

golden(
  'a ledger of format-1 takes its configuration from the file once, at the first open that can write',
  async () => {
    const { facts, root } = goldenLedger('format-1')
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
    const { data, type } = await ledger.log.entry({ seq: facts.size + 1 })
    equal([type, data.previous], ['config.loaded', null])
    await ledger.close()
    writeFileSync(config, JSON.stringify({ operators: [testActor.actor_id] }))
    const again = await openLedger({ dir: root, actor: testActor })
    equal(again.settings, configSchema.parse(JSON.parse(text)))
    is((await again.head.get()).size, facts.size + 2)
    await again.close()
  },
)

golden('there is one for each format that was released', () => equal(formats, ['format-1', 'format-2']))

golden('a ledger of a newer format is refused and left unchanged', async () => {
  const { facts, root } = goldenLedger('format-1')
  const { ledger: database } = layoutOf(root)
  const store = await openStore(database, { create: false })
  const meta = { format: formatVersion + 1, ledger_id: facts.origin.split('/')[1], origin: facts.origin }
  await store.write({ puts: [{ key: metaKey, value: encode(metaKey, meta) }], deletes: [] })
  await store.close()
  const before = digestsBelow(root)
  const error = await refusalOf(() => openLedger({ dir: root, actor: testActor }))
  is(error.code, 'FORMAT_TOO_NEW')
  equal([error.details.format, error.details.format_max], [formatVersion + 1, formatVersion])
  equal(digestsBelow(root), before)
})

golden('a head file of a newer format is refused before anything else is read, also after a crash', async () => {
  const { root } = goldenLedger('format-1')
  const { head, ledger: database, owner } = layoutOf(root)
  rmSync(owner)
  writeFileSync(head, JSON.stringify({ format: formatVersion + 1, tree: { size: 9 } }))
  writeFileSync(join(database, 'CURRENT'), 'as a newer LevelDB has it')
  const before = digestsBelow(root)
  const error = await refusalOf(() => openLedger({ dir: root, actor: testActor }))
  is(error.code, 'FORMAT_TOO_NEW')
  equal([error.details.format, error.details.format_max], [formatVersion + 1, formatVersion])
  equal(digestsBelow(root), before)
})

golden('a bundle of a newer contract is refused', async () => {
  const { facts, root } = goldenLedger('format-1')
  const bundle = join(root, 'bundle')
  mkdirSync(bundle)
  untar(join(root, facts.bundle), bundle)
  const at = join(bundle, 'manifest.json')
  const manifest = JSON.parse(readFileSync(at, 'utf8')) as object
  writeFileSync(at, JSON.stringify({ ...manifest, contract_version: 'v2', new_in_v2: true }))
  is((await refusalOf(() => verifyExport(bundle, { unauthenticated: true }))).code, 'FORMAT_TOO_NEW')
})

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
