// limit: 240
import { spawnSync } from 'node:child_process'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { compiled } from '../support/compiled.ts'
import { goldenLedger } from '../support/golden.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { remainsOf } from '../support/remains.ts'

const killed = suite('a process that is killed at one of its writes')
const program = compiled('fixtures/crash/killed-at-write.ts')
const [ann, becca] = ['ann', 'BECCA'].map((actor_id) => ({ actor_id, actor_type: 'human' as const }))
const secret = 'the witness lives at 17 Elm Street'

/** Runs the program once for each of its writes, until it ends by itself. */
async function atEachWrite(
  begin: () => Promise<{ more?: string[]; root: string }>,
  check: (root: string, more: string[]) => Promise<void>,
): Promise<number> {
  for (let at = 0; ; at += 1) {
    for (const when of ['before', 'after']) {
      const { more = [], root } = await begin()
      const { signal, status, stderr } = spawnSync(process.execPath, [program, root, String(at), when, ...more])
      ok(signal === 'SIGKILL' || status === 0, String(stderr))
      await check(root, more)
      if (status === 0) return at
    }
    ok(at < 40, 'it ends')
  }
}

killed('erases all texts of an erasure or none, and the next open finishes it', async () => {
  const run_id = 'run_one_1'
  const begin = async () => {
    const root = temporaryRoot()
    const config = { operators: ['ann'] }
    const ledger = await openLedger({ actor: testActor, config, create: true, dir: root })
    await ledger.policy.reload()
    await ledger.runs.create({ notes: secret, run_id, run_kind: 'orchestrator', run_name: secret })
    await ledger.runs.start({ run_id })
    const texts = { run_id }
    const { approval_id } = await ledger.erasures.approve({ actor: becca, reason: 'secret_leaked', texts })
    await ledger.close()
    return { more: [approval_id], root }
  }
  const writes = await atEachWrite(begin, async (root, [approval_id = '']) => {
    const ledger = await openLedger({ actor: testActor, dir: root })
    const { notes, run_name } = await ledger.runs.get({ run_id })
    const { count } = await ledger.erasures.preview({ texts: { run_id } })
    ok(count === 0 || count === 2)
    equal([notes, run_name], count === 2 ? [secret, secret] : ['[erased]', '[erased]'])
    // What the open has finished leaves nothing, also without another erasure.
    if (count === 0) {
      await ledger.close()
      equal(await remainsOf(root, secret), [])
    } else {
      is((await ledger.erasures.erase({ actor: ann, approval_id, texts: true })).texts, 2)
      await ledger.close()
    }
    await endsWithVerify(root)
  })
  ok(writes > 2, String(writes))
})

killed('has raised the ledger from format 1 or has not, and the next open raises it', async () => {
  let size = 0
  const begin = async () => {
    const { facts, root } = goldenLedger('format-1')
    size = facts.size
    return { root }
  }
  const writes = await atEachWrite(begin, async (root) => {
    const ledger = await openLedger({ actor: testActor, dir: root })
    const { data, type } = await ledger.log.entry({ seq: size })
    equal([type, data.from, data.to, data.size], ['ledger.upgraded', 1, 2, size])
    const more: string[] = []
    for await (const entry of ledger.log.read({ from: size + 1 })) more.push(entry.type)
    is(more.includes('ledger.upgraded'), false)
    await ledger.close()
    await endsWithVerify(root)
  })
  ok(writes > 0, String(writes))
})

killed.run()
