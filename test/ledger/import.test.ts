import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { foldOf, wrongWithStem } from '../../src/domain/turn/stem.ts'
import { readStaging } from '../../src/files/staging/staging.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { withLedger } from '../support/ledger.ts'
import { startRun, triplet } from '../support/pages.ts'
import { randomBelow } from '../support/seed.ts'

const test = suite('a workspace that is imported')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 6)
const below = randomBelow('import')
const run_id = 'run_files_1'
const turn = { run_id, turn_id: 'turn-0001' }
const parts = [
  ...[
    'a',
    'B',
    '%',
    '%2F',
    '%h',
    '.',
    '..',
    ' ',
    ':',
    '*',
    'CON',
    'nul.x',
    '_index',
    '_INDEX',
    'v1.0',
    '.JSON',
    '.body',
  ],
  ...[
    'é',
    'e\u0301',
    '😀',
    '\u200b',
    '\ufffd',
    'ß',
    'Σ',
    '\ue000',
    'x'.repeat(190),
    '漢'.repeat(70),
    '.Body.Json',
    '~',
    '\u2028',
  ],
]
const oneOf = (texts: readonly string[]) => texts[below(texts.length)] ?? ''

/** Stems that may stand beside each other, of parts that a file system makes something else of. */
function nastyStems(count: number): string[] {
  const stems = new Map<string, string>()
  while (stems.size < count) {
    const segments = Array.from({ length: 1 + below(4) }, () =>
      Array.from({ length: 1 + below(3) }, () => oneOf(parts)).join(''),
    )
    const stem = segments.join('/')
    if (wrongWithStem(stem) === undefined) stems.set(foldOf(stem), stem)
  }
  return [...stems.values()]
}

const treeOf = (root: string) => realpathSync(join(root, 'workspace/run', run_id, 'current'))

/** Everything but who promoted a stem, and when. */
async function contentOf(ledger: LocalLedger, of: { run_id: string }): Promise<object[]> {
  const content: object[] = []
  for await (const { run_id: _, updated_at_turn: __, ...triplet } of ledger.workspaces.triplets(of))
    content.push(triplet)
  for await (const record of ledger.workspaces.refs(of)) content.push(record)
  return content
}

test('has the state_digest of the one that was materialised, whatever its stems and identities', async () => {
  for (let round = 0; round < rounds; round += 1) {
    const stems = nastyStems(25)
    const identities = stems.map((stem, index) => ({ type: oneOf(parts), id: `${stem}${index}` }))
    const triplets = stems.map((stem, index) => {
      const { id, type } = identities[index] ?? { id: '', type: '' }
      return triplet(stem, { dto_type: type, id }, { [oneOf(parts)]: [identities[below(25)], identities[below(25)]] })
    })
    await withLedger(async (ledger, root) => {
      await startRun(ledger, run_id)
      await ledger.turns.apply({ ...turn, triplets })
      assert.is((await ledger.workspaces.files()).files, 'current')
      await withLedger(async (other) => {
        await startRun(other, run_id)
        const read = await readStaging(treeOf(root), { isWorkspace: true, bounds: other.settings.turn_limits })
        assert.equal(read.issues, [])
        await other.turns.apply({ ...turn, ...read })
        const [one, same] = [await ledger.workspaces.digest({ run_id }), await other.workspaces.digest({ run_id })]
        assert.is(same.state_digest, one.state_digest)
      })
    })
  }
})

test('into another run, after some turns, holds the same but for who promoted what, and when', () =>
  withLedger(async (ledger, root) => {
    await startRun(ledger, run_id)
    const long = 'x'.repeat(300)
    const [kept, gone] = [`${long}/kept`, `${long}/gone`]
    await ledger.turns.apply({ ...turn, triplets: [triplet(kept), triplet(gone), triplet('%41')] })
    const tombstone = { kind: 'tombstone', stem: gone, dto_type: 'x', id: 'x', deleted_by_turn_id: 'turn-0002' }
    await ledger.turns.apply({
      run_id,
      turn_id: 'turn-0002',
      tombstones: [tombstone],
      triplets: [triplet(kept, { v: 2 })],
    })
    assert.is((await ledger.workspaces.files()).files, 'current')
    await ledger.workspaces.check({ run_id })
    const read = await readStaging(treeOf(root), { isWorkspace: true, bounds: ledger.settings.turn_limits })
    await startRun(ledger, 'run_other_1')
    await ledger.turns.apply({ run_id: 'run_other_1', turn_id: 'turn-0001', ...read })
    assert.equal(await contentOf(ledger, { run_id: 'run_other_1' }), await contentOf(ledger, { run_id }))
  }))

test.run()
