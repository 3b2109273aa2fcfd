// limit: 240

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { keyAt } from '../../src/disk/key-file.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import { sha256 } from '../../src/log/sha256.ts'
import { fileSigner } from '../../src/log/signer.ts'
import { formatCheckpoint } from '../../src/merkle/checkpoint.ts'
import { formatKeyStatement, formatKeys, parseKeys } from '../../src/merkle/keys.ts'
import { signNote } from '../../src/merkle/note.ts'
import { formatVkey } from '../../src/merkle/vkey.ts'
import { verifyExport } from '../../src/nouns/exports/export-verify.ts'
import { openLedger } from '../../src/open.ts'
import { verifyCheckpoint, verifyGrowth } from '../../src/verify.ts'
import { compiled } from '../support/compiled.ts'
import { failedCheck, governed } from '../support/exports.ts'
import { endsWithVerify, temporaryRoot, testActor, withLedger } from '../support/ledger.ts'
import { printedSeed, randomBelow } from '../support/seed.ts'

const becca = { actor_id: 'BECCA', actor_type: 'human' } as const
const events = [{ action_type: 'system' as const, outcome: 'success' as const }]
const runs = Number(process.env.LOCKSTEP_ROUNDS ?? 8)

const keys = suite('the keys of a ledger')

/** A key that was in force at a moment, as a thief has it. */
function stolen(root: string, path: string) {
  const copy = `${path}.stolen`
  copyFileSync(path, copy)
  const layout = layoutOf(root)
  const key = keyAt(layout, copy)
  rmSync(copy)
  if (key === undefined) throw new Error(`${path} has no key`)
  return key
}

keys('of any sequence of rotate, retire, append, export and verify are those of a small model', async () => {
  const step = fc.constantFrom('append', 'checkpoint', 'export', 'reopen', 'retire', 'retire new', 'rotate')
  const sequences = fc.sample(fc.array(step, { minLength: 4, maxLength: 14 }), {
    numRuns: runs,
    seed: printedSeed('keys'),
  })
  for (const steps of sequences) {
    const folder = temporaryRoot()
    await withLedger(
      async (opened, root) => {
        let ledger = opened
        try {
          const first = (await ledger.keys.list()).vkey
          const model: { vkey: string; from: number; to: number | null }[] = [{ vkey: first, from: 0, to: null }]
          const kept: { checkpoint: string; size: number; text: string; signers: string[] }[] = []
          const bundles: string[] = []
          const inForce = () => model.filter(({ to }) => to === null)
          const changed = async (change: Promise<{ size: number; vkey: string }>, isAllowed: boolean) => {
            const done = await change.catch((error: { code?: string }) => error.code)
            is(typeof done === 'object', isAllowed, `${steps} ${JSON.stringify(done)}`)
            return typeof done === 'object' ? done : undefined
          }
          for (const [at, name] of steps.entries()) {
            if (name === 'append') await ledger.audit.append({ events })
            if (name === 'rotate') {
              const done = await changed(ledger.keys.rotate({ actor: becca }), inForce().length === 1)
              if (done) model.push({ vkey: done.vkey, from: done.size + 1, to: null })
            }
            if (name.startsWith('retire')) {
              const [old, young] = inForce()
              const ending = name === 'retire' ? old : young
              const vkey = ending === undefined ? {} : { vkey: ending.vkey }
              const done = await changed(ledger.keys.retire({ actor: becca, ...vkey }), young !== undefined)
              if (done && ending) ending.to = done.size
            }
            if (name === 'checkpoint') {
              const { checkpoint, size, vkey } = await ledger.head.signed()
              kept.push({ checkpoint, size, text: vkey, signers: inForce().map((key) => key.vkey) })
            }
            if (name === 'export') {
              const file = join(folder, `${at}.tar.gz`)
              await ledger.exports.create({ ...governed, file, select: { from: 0, to: 1 } })
              bundles.push(file)
            }
            if (name === 'reopen') {
              await ledger.close()
              ledger = await openLedger({ dir: root, actor: testActor, self_check: true })
            }
          }
          const { keys: listed, vkey: text } = await ledger.keys.list()
          equal(
            listed.map(({ from, to, vkey }) => ({ from, to, vkey })),
            model.map(({ from, to, vkey }) => ({ from, to, vkey })),
          )
          is(readFileSync(join(root, '.lockstep/key.pub'), 'utf8').trimEnd(), text)
          is(existsSync(join(root, '.lockstep/key.next')), inForce().length === 2)
          for (const { checkpoint, signers, size } of kept) {
            ok((await verifyCheckpoint(checkpoint, text)).ok)
            for (const key of model) {
              const isOwn = signers.includes(key.vkey)
              is((await verifyCheckpoint(checkpoint, key.vkey)).ok, isOwn, `${steps}: ${key.vkey} at ${size}`)
            }
          }
          for (const file of bundles) {
            is((await verifyExport(file, { vkey: first })).authenticity, 'checked')
            is((await verifyExport(file, { vkey: text })).authenticity, 'checked')
          }
          const [early, late] = [kept.at(0), kept.at(-1)]
          if (early && late) {
            const { proof } = await ledger.log.consistency({ from: early.size, to: late.size })
            ok((await verifyGrowth(early.checkpoint, late.checkpoint, proof, { vkey: text })).ok)
          }
        } finally {
          await ledger.close()
        }
      },
      { policy: true },
    )
  }
})

keys('that were retired sign nothing later, whoever has them', async () => {
  const folder = temporaryRoot()
  await withLedger(
    async (ledger, root) => {
      const layout = layoutOf(root)
      const first = await ledger.head.signed()
      const origin = first.vkey.split('+')[0] ?? ''
      const thief = fileSigner(origin, first.vkey, stolen(root, layout.key))
      await ledger.keys.rotate({ actor: becca })
      const { size: last } = await ledger.keys.retire({ actor: becca })
      await ledger.audit.append({ events })
      const { root: hash, size, vkey: text } = await ledger.head.signed()
      const rootBytes = Buffer.from(hash, 'hex')
      const note = (at: number) => signNote(formatCheckpoint({ origin, size: at, root: rootBytes }), [thief])
      ok((await verifyCheckpoint(await note(last), text)).ok, 'up to its last size its signature counts')
      for (const at of [last + 1, size, size + 100]) {
        const verified = await verifyCheckpoint(await note(at), text)
        match(verified.ok ? '' : verified.reason, /no key of .* that signed was in force at size/)
      }
      // The first key cannot begin another chain behind its retirement.
      const evil = formatVkey({ name: origin, publicKey: rootBytes }, sha256)
      const { statements } = value(parseKeys(text))
      const change = { by: [first.vkey], change: 'added', origin, root: rootBytes } as const
      for (const at of [1, last, size]) {
        const forged = await signNote(formatKeyStatement({ ...change, size: at, vkey: evil }), [thief])
        const claimed = formatKeys(first.vkey, [...statements, forged])
        is((await verifyCheckpoint(await note(size), { vkey: claimed })).ok, false)
      }
      // A bundle of now follows from the first key, and from no other.
      const file = join(folder, 'bundle.tar.gz')
      await ledger.exports.create({ ...governed, file, select: { from: 0, to: 1 } })
      is((await verifyExport(file, { vkey: first.vkey })).verified, true)
      const other = await withLedger((elsewhere) => elsewhere.head.signed())
      is(await failedCheck(file, other.vkey), 'key')
    },
    { policy: true },
  )
})

keys('of files that a crash left behind are put in order by the next change or open', async () => {
  // Between the durable key and the entry: the next rotation takes the key that is there.
  await withLedger(async (ledger, root) => {
    const layout = layoutOf(root)
    await ledger.keys.rotate({ actor: becca })
    await ledger.keys.retire({ actor: becca, vkey: (await ledger.keys.list()).keys[1]?.vkey })
    is(existsSync(layout.nextKey), false, 'a new key that was given up is deleted')
    copyFileSync(layout.key, `${layout.nextKey}.tmp`)
    await ledger.keys.rotate({ actor: becca })
    is((await ledger.keys.list()).keys.filter(({ held }) => held === 'file').length, 2)
    is(statSync(layout.nextKey).mode & 0o077, 0)
  })
  // Between the entry and the files: the next open puts them in order.
  const root = temporaryRoot()
  const layout = layoutOf(root)
  const ledger = await openLedger({ dir: root, create: true, actor: testActor, policy: false })
  const before = { key: readFileSync(layout.key), vkey: readFileSync(layout.vkey) }
  await ledger.keys.rotate({ actor: becca })
  const next = readFileSync(layout.nextKey)
  await ledger.keys.retire({ actor: becca })
  const settled = readFileSync(layout.vkey, 'utf8')
  await ledger.close()
  writeFileSync(layout.key, before.key, { mode: 0o600 })
  writeFileSync(layout.nextKey, next, { mode: 0o600 })
  writeFileSync(layout.vkey, before.vkey)
  const again = await openLedger({ dir: root, actor: testActor })
  equal(readFileSync(layout.key), next)
  is(existsSync(layout.nextKey), false)
  is(readFileSync(layout.vkey, 'utf8'), settled)
  ok((await verifyCheckpoint((await again.head.signed()).checkpoint, settled)).ok)
  await again.close()
  await endsWithVerify(root)
})

keys('survive a process that is killed at any step: what was answered holds, and the next open can sign', async () => {
  const random = randomBelow('killed rotations')
  const root = temporaryRoot()
  const begun = await openLedger({ dir: root, create: true, actor: testActor, policy: false })
  const first = (await begun.keys.list()).vkey
  await begun.close()
  for (let round = 0; round < runs; round += 1) {
    const child = spawn(process.execPath, [compiled('fixtures/crash/rotating.ts'), root], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = once(child, 'exit')
    let text = ''
    const lines = 1 + random(6)
    for await (const chunk of child.stdout) {
      text += chunk
      if (text.split('\n').length > lines) child.kill('SIGKILL')
    }
    await ended
    const ledger = await openLedger({ dir: root, actor: testActor })
    const { keys, vkey } = await ledger.keys.list()
    for (const line of text.split('\n').slice(0, -1)) {
      const [what, name] = line.split(' ')
      const key = keys.find((known) => known.vkey === name)
      ok(key !== undefined, line)
      if (what === 'retired') is(key?.status, 'ended', line)
    }
    equal(
      keys
        .filter(({ status }) => status === 'in_force')
        .map(({ held }) => held)
        .filter((held) => held !== 'file'),
      [],
    )
    const { checkpoint } = await ledger.head.signed()
    ok((await verifyCheckpoint(checkpoint, { vkey })).ok)
    is(vkey.split('\n')[0], first)
    is(readFileSync(layoutOf(root).vkey, 'utf8').trimEnd(), vkey)
    await ledger.close()
  }
  await endsWithVerify(root)
})

keys('of a lost key: reading, writing and checking go on, and nothing pretends to be signed', async () => {
  await withLedger(
    async (ledger, root) => {
      const layout = layoutOf(root)
      const kept = await ledger.head.signed()
      renameSync(layout.key, `${root}/lost`)
      await ledger.audit.append({ events })
      ok((await ledger.log.consistency({ from: kept.size })).proof.length >= 0)
      await ledger.log.verify()
      const file = join(temporaryRoot(), 'bundle.tar.gz')
      for (const call of [
        () => ledger.head.signed(),
        () => ledger.log.prove({ seq: 0 }),
        () => ledger.exports.create({ ...governed, file, select: { from: 0, to: 1 } }),
        () => ledger.log.backup({ file }),
        () => ledger.keys.rotate({ actor: becca }),
      ]) {
        is(await call().then(String, (error: { code?: string }) => error.code), 'KEY_MISSING')
      }
      is(existsSync(file), false)
      const other = await withLedger((elsewhere) => elsewhere.head.signed())
      const asked = { actor: becca, reason: 'the disk failed' }
      const code = (checkpoint: string) =>
        ledger.keys.adopt({ ...asked, checkpoint }).then(String, (error: { code?: string }) => error.code)
      is(await code(other.checkpoint), 'VERIFY_FAILED')
      is(await code('nothing'), 'VERIFY_FAILED')
      const adopted = await ledger.keys.adopt({ ...asked, checkpoint: kept.checkpoint })
      const now = await ledger.head.signed()
      ok((await verifyCheckpoint(now.checkpoint, adopted.vkey)).ok)
      is((await verifyCheckpoint(now.checkpoint, kept.vkey)).ok, false)
      // The lost key comes back: it is not the ledger's any more.
      renameSync(`${root}/lost`, layout.nextKey)
      is((await ledger.head.signed()).checkpoint, now.checkpoint)
      await ledger.keys.rotate({ actor: becca })
      is((await ledger.keys.list()).keys.filter(({ status }) => status === 'in_force').length, 2)
    },
    { policy: true },
  )
})

function value<T>(parsed: { ok: true; value: T } | { ok: false; reason: string }): T {
  if (!parsed.ok) throw new Error(parsed.reason)
  return parsed.value
}

keys.run()
