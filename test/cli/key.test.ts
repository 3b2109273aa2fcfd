import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const keys = suite('lockstep key')

async function newRoot() {
  const root = temporaryRoot()
  await (await openLedger({ dir: root, create: true, actor: testActor, policy: false })).close()
  const run = (...words: string[]) => lockstep(['--dir', root, ...words], { cwd: '/' })
  return { root, run, as: (...words: string[]) => run('--actor', 'human:BECCA', ...words) }
}

keys(
  'rotates and retires, and a checkpoint of before verifies with the first key and with the text of key.pub',
  async () => {
    const { as, root, run } = await newRoot()
    const first = String((await run('head', '--signed')).json.vkey)
    const kept = join(root, 'kept.txt')
    writeFileSync(kept, String((await run('head', '--signed')).json.checkpoint))
    const denied = await run('--actor', 'agent-9', 'key', 'rotate')
    equal([denied.status, denied.json.code], [4, 'KEY_DENIED'])
    is((await as('key', 'rotate')).status, 0)
    const twice = await as('key', 'rotate')
    equal([twice.status, twice.json.code], [5, 'KEY_CONFLICT'])
    is((await as('key', 'retire')).status, 0)
    const listed = await run('key', 'list')
    const [old, young] = listed.json.keys as { held: string; status: string; vkey: string }[]
    equal(
      [old?.vkey, old?.status, old?.held, young?.status, young?.held],
      [first, 'ended', 'missing', 'in_force', 'file'],
    )
    for (const key of [first, String(listed.json.vkey)]) {
      const verified = await run('verify', '--checkpoint', kept, '--key', key)
      is(verified.status, 0, verified.stdout + verified.stderr)
    }
    const past = await run('head', '--signed', '--size', '1')
    equal([past.status, past.json.code], [5, 'KEY_NOT_IN_FORCE'])
    is((await run('head', '--size', '1')).json.size, 1)
    await endsWithVerify(root)
  },
)

keys('says at every turn that a key is lost, and adopts another against a kept checkpoint', async () => {
  const { as, root, run } = await newRoot()
  const kept = join(root, 'kept.txt')
  writeFileSync(kept, String((await run('head', '--signed')).json.checkpoint))
  renameSync(join(root, '.lockstep/key'), join(root, 'lost'))
  is((await run('lock', 'acquire', 'reports', '--holder', 'TASK', '--lease', '15m')).status, 0)
  is((await run('head')).status, 0)
  const signed = await run('head', '--signed')
  equal([signed.status, signed.json.code], [7, 'KEY_MISSING'])
  match(String(signed.json.hint), /key adopt/)
  const doctor = await run('doctor')
  ok(doctor.status !== 0)
  match(doctor.stdout, /private key .* is missing/)
  const adopted = await as('key', 'adopt', '--checkpoint', kept, '--reason', 'the disk failed')
  is(adopted.status, 0, adopted.stdout + adopted.stderr)
  is((await run('head', '--signed')).status, 0)
  is((await run('doctor')).status, 0)
  await endsWithVerify(root)
})

keys.run()
