import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { sha256 } from '../../src/log/sha256.ts'
import { parseSubmission } from '../../src/merkle/add-checkpoint.ts'
import { cosign, verifyCosignatures } from '../../src/merkle/cosignature.ts'
import { parseSignedNote } from '../../src/merkle/note.ts'
import { keyTypes, parseVkey } from '../../src/merkle/vkey.ts'
import { policyIn, syncWitnesses } from '../../src/witness/sync.ts'
import { until } from '../ledger/stage.ts'
import { temporaryRoot, withLedger } from '../support/ledger.ts'
import { newKey, verifyByNode } from '../support/witness-keys.ts'
import { killWitnesses, startWitness } from '../support/witness-process.ts'
import { hostileWitness } from './hostile-witness.ts'

const test = suite('witness sync')
test.after(() => killWitnesses())

const keysOf = async (ledger: LocalLedger) => [(await ledger.head.signed()).vkey]

async function grow(ledger: LocalLedger, count: number): Promise<number> {
  for (let at = 0; at < count; at += 1)
    await ledger.locks.acquire({ holder: 'h', name: `n${at}-${(await ledger.head.get()).size}` })
  return (await ledger.head.get()).size
}

async function sync(ledger: LocalLedger, lines: readonly string[]) {
  const policy = await policyIn(lines.join('\n'), 'policy')
  return syncWitnesses(ledger, { answerMillis: 2_000, layout: layoutOf(ledger.dir), policy })
}

const answersOf = ({ witnesses }: Awaited<ReturnType<typeof sync>>) =>
  witnesses.map(({ name, size, status }) => [name, status, ...(size === undefined ? [] : [size])].join(' '))

const folderOf = (root: string) => join(root, '.lockstep/cosigned')
const sizeOf = (file: string) => Number(file.split('.')[0])
const keptIn = (root: string) => readdirSync(folderOf(root)).sort((left, right) => sizeOf(left) - sizeOf(right))

test('a ledger with a new key is cosigned while it signs with a key that the witness knows', () =>
  withLedger(async (ledger) => {
    const [old] = await keysOf(ledger)
    const becca = { actor_id: 'BECCA', actor_type: 'human' } as const
    const dir = temporaryRoot()
    const witness = await startWitness({ dir, logs: [old ?? ''] })
    const policy = [witness.policyLine, 'quorum witness.example/w1']
    await grow(ledger, 3)
    is((await sync(ledger, policy)).is_quorum, true)
    const { vkey: added } = await ledger.keys.rotate({ actor: becca })
    await grow(ledger, 3)
    // Both keys sign, so a witness that knows only the old one goes on.
    is((await sync(ledger, policy)).is_quorum, true)
    await ledger.keys.retire({ actor: becca })
    await grow(ledger, 3)
    const refused = await sync(ledger, policy)
    equal([refused.is_quorum, refused.witnesses.map(({ status }) => status).includes('cosigned')], [false, false])
    await witness.kill('SIGTERM')
    const informed = await startWitness({ dir, logs: [old ?? '', added] })
    const size = await grow(ledger, 3)
    const synced = await sync(ledger, [informed.policyLine, 'quorum witness.example/w1'])
    equal([synced.is_quorum, synced.size], [true, size])
    await ledger.log.verify()
  }))

test('the newest checkpoint is cosigned, and kept with its cosignatures', () =>
  withLedger(async (ledger, root) => {
    const logs = await keysOf(ledger)
    const [one, two] = [
      await startWitness({ logs, name: 'witness.example/w1' }),
      await startWitness({ logs, name: 'witness.example/w2' }),
    ]
    const lines = [one.policyLine, two.policyLine].map((line, at) => line.replace('witness.example/w', `w${at}:`))
    const [first, second] = lines.map((line) => line.split(' ')[1])
    const policy = [...lines, `group all all ${first} ${second}`, 'quorum all']
    for (const count of [3, 0, 40]) {
      const size = await grow(ledger, count)
      const synced = await sync(ledger, policy)
      equal([synced.is_quorum, synced.size, synced.quorum_size], [true, size, size])
      const { checkpoint } = await ledger.head.signed({ size })
      ok(synced.note.startsWith(checkpoint))
      is(readFileSync(join(folderOf(root), keptIn(root).at(-1) ?? ''), 'utf8'), synced.note)
      const keys = await Promise.all([one, two].map(({ vkey }) => parseVkey(vkey, sha256, keyTypes.cosignature)))
      const values = keys.flatMap((key) => (key.ok ? [key.value] : []))
      const verified = await verifyCosignatures(synced.note, values, verifyByNode)
      is(verified.ok && verified.value.length, 2)
    }
  }))

test('a witness that is down, slow or wrong does not keep the others from cosigning', () =>
  withLedger(async (ledger) => {
    await grow(ledger, 2)
    const good = await startWitness({ logs: await keysOf(ledger) })
    const [cosigner, wrongKey] = [newKey('bad.example'), newKey('bad.example')]
    const answers: [name: string, expected: string, answer: Parameters<typeof hostileWitness>[0]][] = [
      ['down', 'down unreachable', (_, __, outgoing) => outgoing.destroy()],
      ['slow', 'slow unreachable', () => {}],
      ['half', 'half unreachable', (_, __, outgoing) => outgoing.writeHead(200).write('— ')],
      ['failing', 'failing unreachable', (_, __, outgoing) => outgoing.writeHead(500).end('no')],
      ['busy', 'busy unreachable', (_, __, outgoing) => outgoing.writeHead(429).end()],
      ['unknown', 'unknown refused', (_, __, outgoing) => outgoing.writeHead(404).end()],
      ['denying', 'denying refused', (_, __, outgoing) => outgoing.writeHead(403).end()],
      ['moved', 'moved refused', (_, __, outgoing) => outgoing.writeHead(301, { location: good.url }).end()],
      ['long', 'long unreachable', (_, __, outgoing) => outgoing.end('x'.repeat(1_000_000))],
      ['empty', 'empty bad_cosignature', (_, __, outgoing) => outgoing.end('')],
      ['nonsense', 'nonsense bad_cosignature', (_, __, outgoing) => outgoing.end('— a b\n\u0000\n')],
      ['conflict', 'conflict conflict', (_, __, outgoing) => outgoing.writeHead(409).end('other root')],
      ['proofless', 'proofless conflict', (_, __, outgoing) => outgoing.writeHead(422).end()],
      ['sizeless', 'sizeless refused', sized('many')],
      ['ahead', 'ahead ahead 1000000', sized('1000000')],
      ['same', 'same conflict', sized('0')],
    ]
    const servers = await Promise.all(answers.map(([, , answer]) => hostileWitness(answer)))
    const lines = answers.map(([name], at) => {
      return `witness ${name} ${newKey(`${name}.example`).witnessVkey} ${servers[at]?.url}`
    })
    const wrong = await hostileWitness((body, _, outgoing) => {
      const { checkpoint } = submitted(body)
      void cosign(textOf(checkpoint), 1, { ...wrongKey.cosigner, keyId: cosigner.cosigner.keyId }).then((line) =>
        outgoing.end(line),
      )
    })
    const stranger = await hostileWitness((body, _, outgoing) => {
      void cosign(textOf(submitted(body).checkpoint), 1, newKey('stranger.example').cosigner).then((line) =>
        outgoing.end(line),
      )
    })
    const more = [
      `witness wrong ${cosigner.witnessVkey} ${wrong.url}`,
      `witness stranger ${newKey('known.example').witnessVkey} ${stranger.url}`,
      `witness nowhere ${newKey('nowhere.example').witnessVkey} ftp://nowhere.example`,
      `witness silent ${newKey('silent.example').witnessVkey}`,
    ]
    const synced = await sync(ledger, [...lines, ...more, good.policyLine, 'quorum witness.example/w1'])
    equal(answersOf(synced), [
      ...answers.map(([, expected]) => expected),
      'wrong bad_cosignature',
      'stranger bad_cosignature',
      'nowhere unreachable',
      'witness.example/w1 cosigned',
    ])
    is(synced.is_quorum, true)
    // Nothing of this is proof, so the ledger goes on.
    await grow(ledger, 1)
    for (const server of [...servers, wrong, stranger]) await server.close()
  }))

const sized =
  (size: string): Parameters<typeof hostileWitness>[0] =>
  (_, __, outgoing) =>
    outgoing.writeHead(409, { 'content-type': 'text/x.tlog.size' }).end(`${size}\n`)

function submitted(body: string) {
  const parsed = parseSubmission(body)
  if (!parsed.ok) throw new Error(parsed.reason)
  return parsed.value
}

function textOf(checkpoint: string): string {
  const parsed = parseSignedNote(checkpoint)
  if (!parsed.ok) throw new Error(parsed.reason)
  return parsed.value.text
}

test('a witness is asked again from the size that it names', () =>
  withLedger(async (ledger, root) => {
    const witness = await startWitness({ logs: await keysOf(ledger) })
    const policy = [witness.policyLine, 'quorum witness.example/w1']
    await grow(ledger, 5)
    is((await sync(ledger, policy)).is_quorum, true)
    // What this ledger remembers is gone, or wrong: a witness that was set back knows less.
    for (const file of keptIn(root)) {
      writeFileSync(join(folderOf(root), file), await forgotten(ledger, sizeOf(file)))
    }
    const size = await grow(ledger, 5)
    const again = await sync(ledger, policy)
    equal([again.is_quorum, again.quorum_size], [true, size])
    const fresh = await startWitness({ logs: await keysOf(ledger), name: 'witness.example/w1' })
    equal(answersOf(await sync(ledger, [fresh.policyLine, 'quorum witness.example/w1'])), [
      'witness.example/w1 cosigned',
    ])
  }))

/** A kept note without its cosignatures. */
const forgotten = async (ledger: LocalLedger, size: number) => (await ledger.head.signed({ size })).checkpoint

test('few notes are kept, and the newest with a quorum is never dropped', () =>
  withLedger(async (ledger, root) => {
    const logs = await keysOf(ledger)
    const [one, two] = [await startWitness({ logs, name: 'w1' }), await startWitness({ logs, name: 'w2' })]
    const policy = [one.policyLine, two.policyLine, 'group both all w1 w2', 'quorum both']
    const quorum = await grow(ledger, 1)
    is((await sync(ledger, policy)).quorum_size, quorum)
    await two.kill('SIGKILL')
    const alone = [one.policyLine, two.policyLine.replace(/ http.*/, ''), 'group both all w1 w2', 'quorum both']
    for (let round = 0; round < 20; round += 1) {
      await grow(ledger, 1)
      const synced = await sync(ledger, alone)
      equal([synced.is_quorum, synced.quorum_size], [false, quorum])
    }
    const kept = keptIn(root)
    is(kept.length, 17)
    is(sizeOf(kept[0] ?? ''), quorum)
  }))

test('cosignatures of one size from several rounds are kept together', () =>
  withLedger(async (ledger, root) => {
    const logs = await keysOf(ledger)
    const [one, two] = [await startWitness({ logs, name: 'w1' }), await startWitness({ logs, name: 'w2' })]
    const keysAlone = [one, two].map(({ policyLine }) => policyLine.replace(/ http.*/, ''))
    const both = ['group both all w1 w2', 'quorum both']
    await grow(ledger, 1)
    is((await sync(ledger, [one.policyLine, keysAlone[1] ?? '', ...both])).is_quorum, false)
    is((await sync(ledger, [keysAlone[0] ?? '', two.policyLine, ...both])).is_quorum, true)
    // At the same time, as the service and a command may do it.
    await grow(ledger, 1)
    await Promise.all([
      sync(ledger, [one.policyLine, keysAlone[1] ?? '', ...both]),
      sync(ledger, [keysAlone[0] ?? '', two.policyLine, ...both]),
    ])
    const { quorum_size, size } = await sync(ledger, [one.policyLine, keysAlone[1] ?? '', ...both])
    is(quorum_size, size)
    is(keptIn(root).length, 2)
  }))

test('a policy that cannot be used is refused', () =>
  withLedger(async (ledger) => {
    const key = newKey('w.example')
    const messageOf = async (...lines: string[]) => {
      const failure = await sync(ledger, lines).catch((error: unknown) => error)
      return failure instanceof Error ? failure.message : 'accepted'
    }
    match(await messageOf('quorum'), /^policy: line 1: /)
    match(await messageOf(`witness w ${key.witnessVkey}`, 'quorum w'), /no witness of the policy has a URL/)
    const other = newKey('example.com/other')
    const lines = [`log ${other.vkey}`, `witness w ${key.witnessVkey} http://127.0.0.1:1`, 'quorum w']
    match(await messageOf(...lines), /lists logs, but not this ledger/)
  }))

test('a witness that is killed during a request is unreachable, and cosigns when it is back', () =>
  withLedger(async (ledger) => {
    const logs = await keysOf(ledger)
    const witness = await startWitness({ logs })
    const policy = [witness.policyLine, 'quorum witness.example/w1']
    await grow(ledger, 3)
    is((await sync(ledger, policy)).is_quorum, true)
    process.kill(Number(/"pid":(\d+)/.exec(witness.stderr())?.[1]), 'SIGSTOP')
    await grow(ledger, 1)
    let isDone = false
    const stopped = sync(ledger, policy).finally(() => {
      isDone = true
    })
    await grow(ledger, 3)
    is(isDone, false)
    await witness.kill('SIGKILL')
    const answered = await stopped
    equal(answersOf(answered), ['witness.example/w1 unreachable'])
    const port = Number(new URL(witness.url).port)
    const back = await startWitness({ dir: witness.dir, logs, port })
    let synced = await sync(ledger, [back.policyLine, 'quorum witness.example/w1'])
    await until('the witness cosigns', async () => {
      synced = await sync(ledger, [back.policyLine, 'quorum witness.example/w1'])
      return synced.is_quorum
    })
  }))

test.run()
