import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { readHeadFile } from '../../src/log/head-file.ts'
import { openLedger } from '../../src/open.ts'
import { lockstep } from '../support/command.ts'
import { temporaryRoot, testActor } from '../support/ledger.ts'

const accept = suite('--accept-missing-head')
const event = { action_type: 'system', outcome: 'success' } as const

async function closed() {
  const layout = layoutOf(temporaryRoot())
  const ledger = await openLedger({ dir: layout.root, create: true, policy: false, actor: testActor })
  await ledger.audit.append({ events: [event, event, event] })
  await ledger.close()
  return { ask: (...words: string[]) => lockstep(['--dir', layout.root, ...words]), layout }
}

accept(
  'goes on without a head file, as the hint of the refusal says, and an entry records who, why and what',
  async () => {
    const { ask, layout } = await closed()
    const before = readHeadFile(layout.head)
    rmSync(layout.head)
    const refused = await ask('verify')
    equal([refused.status, refused.json.code], [6, 'LEDGER_CORRUPT'])
    ok(String(refused.json.hint).includes('lockstep verify --accept-missing-head'), String(refused.json.hint))
    const { json, status } = await ask(
      '--actor',
      'human:ana',
      'verify',
      '--accept-missing-head',
      '--reason',
      'disk image',
    )
    equal([status, json.verified, json.entries], [0, true, 5])
    equal(json.accepted, { kept: null, problem: '.lockstep/head is missing, and the ledger has 4 entries' })
    const ledger = await openLedger({ dir: layout.root, actor: testActor, snapshot: true })
    const { actor, data, type } = await ledger.log.entry({ seq: 4 })
    await ledger.close()
    equal(
      [type, actor.actor_id, data],
      [
        'ledger.head_accepted',
        'ana',
        { ...(json.accepted as object), reason: 'disk image', root: before?.root, size: 4 },
      ],
    )
    is(readHeadFile(layout.head)?.size, 5)
    const again = await ask('verify', '--accept-missing-head')
    equal([again.status, again.json.accepted, again.json.entries], [0, undefined, 5])
  },
)

accept('sets a head file aside that is not of this database, and keeps it', async () => {
  const { ask, layout } = await closed()
  const other = await closed()
  const foreign = readFileSync(other.layout.head, 'utf8')
  rmSync(layout.head)
  writeFileSync(layout.head, foreign)
  is((await ask('head')).json.code, 'LEDGER_CORRUPT')
  is((await ask('doctor', '--accept-missing-head')).status, 0)
  const kept = readdirSync(layout.evidence).filter((name) => name.startsWith('head-'))
  equal(
    kept.map((name) => readFileSync(join(layout.evidence, name), 'utf8')),
    [foreign],
  )
  is((await ask('verify')).json.entries, 5)
})

accept.run()
