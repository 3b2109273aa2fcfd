import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { LockstepError } from '../../src/errors.ts'
import { isSignatureOf } from '../../src/log/signer.ts'
import { verifyQuorum } from '../../src/merkle/witness-policy.ts'
import { openLedger } from '../../src/open.ts'
import { serve } from '../../src/service/serve.ts'
import { assertExtends } from '../../src/witness/fork.ts'
import { policyIn, syncWitnesses } from '../../src/witness/sync.ts'
import { until } from '../ledger/stage.ts'
import { lockstep } from '../support/command.ts'
import { copyLedger, endsWithVerify, temporaryRoot, testActor, withLedger } from '../support/ledger.ts'
import { ask } from '../support/service.ts'
import { newKey } from '../support/witness-keys.ts'
import { killWitnesses, startWitness } from '../support/witness-process.ts'
import { hostileWitness } from './hostile-witness.ts'

const test = suite('a ledger with two histories')
test.after(() => killWitnesses())

const inRoot = (root: string) => (words: readonly string[]) => lockstep(['--dir', root, ...words])
const acquire = ['lock', 'acquire', '--holder', 'h']

/** Appends locks to the ledger in a folder, in this process. Returns its key line. */
async function appended(root: string, names: readonly string[], create = false): Promise<string> {
  const ledger = await openLedger({ actor: testActor, create, dir: root, policy: false })
  for (const name of names) await ledger.locks.acquire({ holder: 'h', name })
  const { vkey } = await ledger.head.signed()
  await ledger.close()
  return vkey
}

/** A witness of a key, and a file with its policy. */
async function policyFor(vkey: string): Promise<string> {
  const witness = await startWitness({ logs: [vkey] })
  const policy = join(temporaryRoot(), 'policy.txt')
  writeFileSync(policy, `${witness.policyLine}\nquorum witness.example/w1\n`)
  return policy
}

/** A ledger, its copy with another history from some entry on, and a witness that watches both under one name. */
async function forkedLedgers() {
  const [first, second] = [temporaryRoot(), temporaryRoot()]
  const vkey = await appended(first, ['a', 'b', 'c'], true)
  copyLedger(join(first, '.lockstep'), join(second, '.lockstep'))
  await appended(first, ['only-first'])
  await appended(second, ['only-second', 'more'])
  return { first, inFirst: inRoot(first), inSecond: inRoot(second), policy: await policyFor(vkey), second }
}

test('of two readers with one witness, the second is refused, and its ledger grants no more', async () => {
  const { first, inFirst, inSecond, policy, second } = await forkedLedgers()
  const synced = await inFirst(['witness', 'sync', '--policy', policy])
  equal([synced.status, synced.json.is_quorum], [0, true], synced.stderr)
  const refused = await inSecond(['witness', 'sync', '--policy', policy])
  equal([refused.status, refused.json.code], [6, 'LEDGER_FORKED'], refused.stdout)

  // A reader who demands the witness accepts the first history alone.
  const demanded = await policyIn(readFileSync(policy, 'utf8'), policy)
  const newest = async (words: typeof inFirst) => String((await words(['head', '--signed'])).json.checkpoint)
  is((await verifyQuorum(String(synced.json.note), demanded, isSignatureOf)).ok, true)
  is((await verifyQuorum(await newest(inSecond), demanded, isSignatureOf)).ok, false)

  // The first goes on, the second does not, and every new process knows that.
  is((await inFirst([...acquire, 'd'])).status, 0)
  for (const name of ['d', 'e']) {
    const { json, status } = await inSecond([...acquire, name])
    equal([status, json.code, json.forked_size], [6, 'LEDGER_FORKED', synced.json.size])
  }
  // What ends work or only records it goes on.
  is((await inSecond(['lock', 'break', 'only-second', '--reason', 'the ledger has two histories'])).status, 0)
  is((await inSecond(['lock', 'list'])).status, 0)

  // The way out: the copy becomes a ledger of its own.
  const adopted = await inSecond(['adopt', '--copied'])
  is(adopted.status, 0, adopted.stdout)
  is((await inSecond([...acquire, 'f'])).status, 0)
  ok(existsSync(join(second, '.lockstep/forked')), 'the evidence stays')
  await endsWithVerify(first)
  await endsWithVerify(second)
})

test('whichever history comes first is the one that is witnessed', async () => {
  const { inFirst, inSecond, policy } = await forkedLedgers()
  is((await inSecond(['witness', 'sync', '--policy', policy])).status, 0)
  const refused = await inFirst(['witness', 'sync', '--policy', policy])
  equal([refused.status, refused.json.code], [6, 'LEDGER_FORKED'])
})

test('a ledger that was set back is found by what was cosigned', async () => {
  const root = temporaryRoot()
  const policy = await policyFor(await appended(root, ['a'], true))
  const early = temporaryRoot()
  copyLedger(join(root, '.lockstep'), join(early, '.lockstep'))
  await appended(root, ['b'])
  is((await inRoot(root)(['witness', 'sync', '--policy', policy])).status, 0)
  // The whole folder is set back, with all that it knows of witnesses.
  const setBack = inRoot(early)
  const { json, status } = await setBack(['witness', 'sync', '--policy', policy])
  equal([status, json.code], [6, 'LEDGER_FORKED'])
  is((await setBack([...acquire, 'c'])).json.code, 'LEDGER_FORKED')
})

test('an unproven conflict never stops the ledger', () =>
  withLedger(async (ledger) => {
    const layout = layoutOf(ledger.dir)
    const { checkpoint } = await ledger.head.signed()
    await ledger.locks.acquire({ holder: 'h', name: 'a' })
    const stranger = await withLedger(async (other) => (await other.head.signed()).checkpoint)
    const forged = checkpoint.replace(/\n\d+\n/, '\n100000\n')
    for (const note of ['', 'text', forged, stranger, checkpoint]) await assertExtends(ledger, layout, note)
    await ledger.locks.acquire({ holder: 'h', name: 'b' })
    is((await ledger.figures()).is_forked, false)
  }))

test('a running service learns of the proof that a command found', async () => {
  const { first, inSecond, policy, second } = await forkedLedgers()
  is((await inRoot(first)(['witness', 'sync', '--policy', policy])).status, 0)
  const ledger = await openLedger({ actor: testActor, dir: second })
  const service = await serve(ledger, { log: false })
  try {
    const ready = async () => (await ask(service.address, '/readyz')).status
    is(await ready(), 200)
    is((await inSecond(['witness', 'sync', '--policy', policy])).json.code, 'LEDGER_FORKED')
    await until('the service is not ready', async () => (await ready()) === 503)
    const failure = await ledger.locks.acquire({ holder: 'h', name: 'g' }).catch((error: unknown) => error)
    is(failure instanceof LockstepError ? failure.code : failure, 'LEDGER_FORKED')
    match((await ask(service.address, '/metrics')).text, /^lockstep_is_forked 1$/m)
  } finally {
    await service.close()
    await ledger.close()
  }
})

test('a waiting caller is refused when its lock becomes free in a forked ledger', () =>
  withLedger(async (ledger) => {
    const layout = layoutOf(ledger.dir)
    const held = await ledger.locks.acquire({ holder: 'h', name: 'a' })
    const waiting = ledger.locks.acquire({ holder: 'i', name: 'a', wait_s: 60 }).catch((error: unknown) => error)
    const { checkpoint } = await ledger.head.signed()
    writeFileSync(layout.forked, checkpoint)
    await until('the ledger knows', async () => (await ledger.figures()).is_forked)
    await ledger.locks.release({ lock_id: held.lock_id })
    const failure = await waiting
    is(failure instanceof LockstepError ? failure.code : failure, 'LEDGER_FORKED')
    rmSync(layout.forked)
  }))

test('a file of a fork that cannot be read counts as proof, and one of another origin does not', () =>
  withLedger(async (ledger) => {
    const { forked } = layoutOf(ledger.dir)
    writeFileSync(forked, 'nonsense')
    await until('the ledger knows', async () => (await ledger.figures()).is_forked)
    const root = ledger.dir
    await ledger.close()
    const stranger = await withLedger(async (other) => (await other.head.signed()).checkpoint)
    writeFileSync(forked, stranger)
    const again = await openLedger({ actor: testActor, dir: root })
    await again.locks.acquire({ holder: 'h', name: 'a' })
    is((await again.figures()).is_forked, false)
    await again.close()
  }))

test('a checkpoint that a hostile witness shows is believed only with the signature of the ledger', () =>
  withLedger(async (ledger, root) => {
    await ledger.locks.acquire({ holder: 'h', name: 'a' })
    const { checkpoint } = await ledger.head.signed()
    const shown = checkpoint.replace(/\n\d+\n/, '\n100000\n')
    const witness = await hostileWitness((_, { method }, outgoing) => {
      if (method === 'GET') outgoing.end(shown)
      else outgoing.writeHead(422).end()
    })
    const policy = await policyIn(`witness w ${newKey('w').witnessVkey} ${witness.url}\nquorum w`, 'policy')
    const { witnesses } = await syncWitnesses(ledger, { layout: layoutOf(root), policy })
    is(witnesses[0]?.status, 'conflict')
    await ledger.locks.acquire({ holder: 'h', name: 'b' })
    await witness.close()
  }))

test.run()
