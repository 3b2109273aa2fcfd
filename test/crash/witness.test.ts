// limit: 240
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { suite } from 'uvu'
import { equal, ok } from 'uvu/assert'
import { caller } from '../../fixtures/crash/asks.ts'
import { below, oneOf, randomFrom } from '../../fixtures/random.ts'
import { type Layout, layoutOf } from '../../src/disk/layout.ts'
import type { LockstepError } from '../../src/errors.ts'
import type { openLedger } from '../../src/open.ts'
import { compiled, importCompiled } from '../support/compiled.ts'
import { copyLedger, temporaryRoot } from '../support/ledger.ts'
import { asPlainError } from '../support/scene.ts'
import { printedSeed } from '../support/seed.ts'
import { type Preload, preload } from './preloaded.ts'

/** The long run is 1,000 rounds of crashes, faults and restores. */
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 8)
const errors = [constants.errno.EIO, constants.errno.ENOSPC, constants.errno.EMFILE]
const callsOfWriter = 400
const roundsBetweenVerifications = 20
/** Of LevelDB's logs. */
const blockBytes = 32_768
const headerBytes = 7

const test = suite('a witness of tokens')

test('sees only higher tokens, through crashes, faults, damage and restores', async () => {
  const witness = startWitness()
  await through(witness).catch(asPlainError).finally(witness.kill)
})

test.run()

/** A ledger under attack, and what is needed for that. */
interface Attack {
  root: string
  layout: Layout
  loaded: Preload | undefined
  open: typeof openLedger
  random: () => number
  seed: number
  /** The head file as it was at some time before. */
  staleHead: Buffer
  /** How often each kind of round was had, and how often an open was refused. */
  tally: Record<string, number>
  witness: Witness
}

async function through(witness: Witness): Promise<void> {
  const { openLedger: open } = await importCompiled<{ openLedger: typeof openLedger }>('src/index.ts')
  const loaded = preload()
  const root = loaded?.folder ?? temporaryRoot()
  const seed = printedSeed('witness')
  const layout = layoutOf(root)
  await (await open({ dir: root, create: true, policy: false, actor: caller })).close()
  const staleHead = readFileSync(layout.head)
  const attack = { root, layout, loaded, open, random: randomFrom(seed), seed, staleHead, tally: {}, witness }
  for (let round = 0; round < rounds; round += 1) {
    const kind = await oneRound(attack)
    if (round % roundsBetweenVerifications === 0) await verified(root, open)
    equal(witness.findings, [], `LOCKSTEP_SEED=${seed}, round ${round}, after ${kind}`)
  }
  await verified(root, open)
  const told = await witness.end()
  console.log(JSON.stringify({ rounds, told, ...attack.tally }))
  equal(witness.findings, [], `LOCKSTEP_SEED=${seed}`)
  ok(told > rounds, `the witness was told of ${told} grants`)
}

async function oneRound(attack: Attack): Promise<string> {
  const { layout, random, tally } = attack
  const kind = oneOf(Object.keys(kinds), random)
  tally[kind] = (tally[kind] ?? 0) + 1
  if (random() < 0.3) attack.staleHead = readFileSync(layout.head)
  await kinds[kind]?.(attack)
  return kind
}

/** What happens to the ledger in a round. */
const kinds: Record<string, (attack: Attack) => Promise<void>> = {
  'a crash': (attack) => write(attack),
  'a crash with an old head file': async (attack) => {
    await write(attack)
    writeFileSync(attack.layout.head, attack.staleHead)
  },
  'a half record at the end of the log': async (attack) => {
    await write(attack)
    const [log] = logsIn(attack.layout.ledger)
    if (log !== undefined) appendHalfRecord(log, attack.random)
  },
  'a system call that fails': async (attack) => {
    const { loaded, random } = attack
    if (loaded === undefined) return
    const isForGood = random() < 0.3
    const numbers = [0, 1 + below(callsOfWriter, random), isForGood ? 2 ** 30 : 1, oneOf(errors, random), 0, 1]
    writeFileSync(loaded.state, new Uint8Array(new BigUint64Array(numbers.map(BigInt)).buffer))
    await write(attack, loaded.env)
  },
  'a bit that flips': async (attack) => {
    const { layout, open, random, root, seed, tally } = attack
    await write(attack)
    const copy = `${root}-copy`
    copyLedger(layout.home, copy)
    const [log] = logsIn(layout.ledger)
    if (log !== undefined) flipIn(log, random)
    const code = await openedCode(root, open)
    if (code !== undefined) {
      tally[code] = (tally[code] ?? 0) + 1
      equal(code, 'LEDGER_CORRUPT', `LOCKSTEP_SEED=${seed}`)
      rmSync(layout.home, { recursive: true })
      renameSync(copy, layout.home)
    }
    rmSync(copy, { recursive: true, force: true })
  },
  'a restore of a copy of this moment': async (attack) => {
    const { layout, root } = attack
    await write(attack)
    copyLedger(layout.home, `${root}-copy`)
    rmSync(layout.home, { recursive: true })
    renameSync(`${root}-copy`, layout.home)
  },
}

/** Lets a writer take locks, and kills it after some of its grants unless it ends before. */
async function write({ random, root, seed, witness }: Attack, env: Record<string, string> = {}): Promise<void> {
  const words = [root, String(below(2 ** 31, random)), String(20 + below(200, random)), String(1 + below(6, random))]
  const child = spawn(process.execPath, [compiled('fixtures/crash/teller.ts'), ...words], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit', witness.pipe],
  })
  const ended = once(child, 'close')
  const isKilled = random() < 0.8
  const grantsMax = below(12, random)
  let lines = 0
  createInterface({ input: child.stdout as Readable }).on('line', () => {
    lines += 1
    if (isKilled && lines > grantsMax) child.kill('SIGKILL')
  })
  const [code, signal] = await ended
  ok(code === 0 || signal === 'SIGKILL', `LOCKSTEP_SEED=${seed}: a writer ended with ${code} ${signal}`)
}

interface Witness {
  findings: object[]
  pipe: Writable
  kill: () => void
  /** Resolves with how many grants it was told of. */
  end: () => Promise<number>
}

/** The process that keeps what it is told, the pipe to it, and what it found. */
function startWitness(): Witness {
  const child: ChildProcess = spawn(process.execPath, [compiled('fixtures/crash/witness.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const findings: object[] = []
  let told = 0
  const { stdin, stdout } = child
  if (stdin === null || stdout === null) throw new Error('the witness has no pipes')
  createInterface({ input: stdout }).on('line', (line) => {
    const said = JSON.parse(line) as { told?: number }
    if (said.told === undefined) findings.push(said)
    else told = said.told
  })
  return {
    findings,
    pipe: stdin,
    kill: () => void child.kill('SIGKILL'),
    end: async () => {
      stdin.end()
      await once(child, 'close')
      return told
    },
  }
}

function logsIn(database: string): string[] {
  const logs = readdirSync(database).filter((name) => name.endsWith('.log'))
  return logs.map((name) => join(database, name))
}

/** The beginning of a record that fills the rest of its block, as a crash leaves it. */
function appendHalfRecord(path: string, random: () => number): void {
  const left = blockBytes - (statSync(path).size % blockBytes)
  if (left < 100) return
  const bytes = Buffer.from(Array.from({ length: 40 }, () => below(256, random)))
  bytes.writeUInt16LE(left - headerBytes, 4)
  bytes[6] = 1
  appendFileSync(path, bytes)
}

function flipIn(path: string, random: () => number): void {
  const bytes = readFileSync(path)
  const at = below(bytes.length, random)
  if (bytes.length > 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8, random))
  writeFileSync(path, bytes)
}

async function openedCode(root: string, open: typeof openLedger): Promise<string | undefined> {
  try {
    await (await open({ dir: root, actor: caller })).close()
    return undefined
  } catch (error) {
    return (error as LockstepError).code
  }
}

async function verified(root: string, open: typeof openLedger): Promise<void> {
  const ledger = await open({ dir: root, actor: caller })
  try {
    await ledger.log.verify()
  } finally {
    await ledger.close()
  }
}
