import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { LockstepError } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { type ExportTrust, verifyExport } from '../../src/nouns/exports/export-verify.ts'
import { verifyProof, verifyTlogProof } from '../../src/verify.ts'
import { policyIn, syncWitnesses } from '../../src/witness/sync.ts'
import { pack, unpack } from '../support/bundle.ts'
import { lockstep } from '../support/command.ts'
import { bundlesIn } from '../support/exports.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'
import { newKey } from '../support/witness-keys.ts'
import { killWitnesses, startWitness } from '../support/witness-process.ts'

const test = suite('readers who demand witnesses')
test.after(() => killWitnesses())
const of = bundlesIn(test)

/** Has the ledger witnessed, and returns its policy. */
async function witnessed(ledger: LocalLedger, root: string) {
  const { vkey } = await ledger.head.signed()
  const witness = await startWitness({ logs: [vkey.split('\n')[0] ?? ''] })
  const text = `${witness.policyLine}\nquorum witness.example/w1\n`
  writeFileSync(join(root, 'witnesses.txt'), text)
  const policy = await policyIn(text, 'policy')
  return { policy, sync: () => syncWitnesses(ledger, { layout: layoutOf(root), policy }) }
}
/** The check that fails; 'verified' if none does. */
async function checkOf(file: string, trust: ExportTrust): Promise<unknown> {
  const outcome = await verifyExport(file, trust).catch((error: unknown) => error)
  return outcome instanceof LockstepError ? outcome.details.check : 'verified'
}

const config = { witness: { every_s: 600, policy: 'witnesses.txt' } }

of(
  'a bundle carries the newest checkpoint that a quorum cosigned, and the proof between both trees',
  async ({ create, ledger, root, vkey }) => {
    const { policy, sync } = await witnessed(ledger, root)
    const bare = await create({ run_id: 'run_top_1' })
    is(await checkOf(bare.file, { policy, vkey }), 'witnesses')
    const early = (await ledger.head.get()).size
    const { size } = await sync()
    // The exported tree is later than the witnessed one, and then earlier.
    for (const more of [{}, { size: early - 2 }]) {
      const { file } = await create({ run_id: 'run_top_1' }, more)
      const { proven } = await verifyExport(file, { policy, vkey })
      equal(proven.witnessed?.size, size)
      equal(
        proven.witnessed?.witnesses.map(({ name }) => name),
        ['witness.example/w1'],
      )
      is((await verifyExport(file, { vkey })).proven.witnessed, null)
      match(unpack(file).get('README.txt')?.toString() ?? '', /witnessed\/consistency\.json/)
      const other = await policyIn(`witness w ${newKey('witness.example/w1').witnessVkey}\nquorum w`, 'policy')
      is(await checkOf(file, { policy: other, vkey }), 'witnesses')
      // A file about witnesses cannot be dropped or changed: the statement covers it.
      const files = unpack(file)
      files.delete('witnessed/checkpoint')
      is(await checkOf(await pack(files, `${file}.dropped.tar.gz`), { vkey }), 'archive')
      const changed = unpack(file)
      changed.set('witnessed/consistency.json', Buffer.from('{"from":1,"proof":[],"to":1}\n'))
      is(await checkOf(await pack(changed, `${file}.changed.tar.gz`), { vkey }), 'statement')
    }
  },
  config,
)

of(
  'an export fails if the policy of the configuration cannot be read',
  async ({ create, root }) => {
    writeFileSync(join(root, 'witnesses.txt'), 'quorum w9\n')
    const failure = await create({ run_id: 'run_top_1' }).catch((error: unknown) => error)
    match(String(failure), /no line above defines "w9"/)
  },
  config,
)

test('the command proves to witnesses, and verifies against what they saw', async () => {
  const root = temporaryRoot()
  const run = (...words: string[]) => lockstep(['--dir', root, ...words])
  is((await run('init', '--no-operator-token')).status, 0)
  for (const name of ['a', 'b']) is((await run('lock', 'acquire', name, '--holder', 'h')).status, 0)
  const { vkey } = (await run('head', '--signed')).json as { vkey: string }
  const witness = await startWitness({ logs: [vkey] })
  const file = join(root, 'witnesses.txt')
  const policy = `log ${vkey}\n${witness.policyLine}\nquorum witness.example/w1\n`
  writeFileSync(file, policy)
  const demands = ['--witness-policy', file]

  const none = await run('verify', ...demands)
  equal([none.status, none.json.check], [6, 'witnesses'], none.stdout)
  const synced = await run('witness', 'sync', '--policy', file)
  equal([synced.status, synced.json.is_quorum], [0, true])
  const size = Number(synced.json.size)
  is((await run('lock', 'acquire', 'c', '--holder', 'h')).status, 0)

  const verified = await run('verify', ...demands)
  is(verified.status, 0, verified.stdout)
  equal(
    (verified.json.checkpoints as { size: number }[]).map((one) => one.size),
    [size],
  )
  const kept = join(temporaryRoot(), 'kept.txt')
  writeFileSync(kept, String(synced.json.note))
  is((await run('verify', '--checkpoint', kept, ...demands)).status, 0)
  writeFileSync(kept, String((await run('head', '--signed')).json.checkpoint))
  equal((await run('verify', '--checkpoint', kept, ...demands)).json.check, 'witnesses')

  const proven = await run('prove', '1', ...demands)
  is(proven.json.size, size)
  const trusted = { policy, vkey }
  const proof = await verifyProof(proven.json, trusted)
  ok(proof.ok && proof.witnesses?.length === 1, JSON.stringify(proof))
  const plain = await verifyProof((await run('prove', '1')).json, trusted)
  is(plain.ok ? '' : plain.check, 'witnesses')
  is((await run('prove', String(size), ...demands)).json.code, 'NOT_FOUND')
  is((await run('prove', '1', '--size', '2', ...demands)).json.code, 'INVALID_INPUT')

  const text = await lockstep(['--dir', root, 'prove', '1', '--format', 'tlog-proof', ...demands], {
    isForPeople: true,
  })
  ok(text.stdout.startsWith('c2sp.org/tlog-proof@v1\nextra '))
  const shown = await verifyTlogProof(text.stdout, trusted)
  ok(shown.ok && shown.seq === 1 && shown.size === size, JSON.stringify(shown))
  await endsWithVerify(root)
  ok(readFileSync(file, 'utf8') === policy)
})

test.run()
