import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import { is, ok } from 'uvu/assert'
import { hold } from '../../src/lease.ts'
import { openLedger } from '../../src/open.ts'
import { preload } from '../crash/preloaded.ts'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { randomBelow } from '../support/seed.ts'

// From some system call on, every call below the target fails as on a full disk: what was begun is gone, and nothing
// half stands there.

const full = suite('a disk that fills up')
const random = randomBelow('full disk')
const rounds = 3 * Number(process.env.LOCKSTEP_ROUNDS ?? 2)
/** Where a path cannot even be looked at, it counts as missing. */
const codes = ['DISK_FULL', 'LEDGER_UNAVAILABLE', 'NOT_FOUND']

full('stops a backup, a restore and a salvage, and leaves nothing of them', async () => {
  const loaded = preload()
  if (loaded === undefined) return
  const root = temporaryRoot()
  const ledger = await openLedger({ dir: root, create: true, actor: testActor })
  await hold(ledger, { name: 'reports', holder: 'holder' })
  await ledger.close()
  const whole = join(temporaryRoot(), 'whole.tar.gz')
  is((await lockstep(['--dir', root, 'backup', whole])).status, 0)
  const kinds = [
    (place: string) => ({ made: join(place, 'backup'), words: ['--dir', root, 'backup', join(place, 'backup')] }),
    (place: string) => ({ made: join(place, '.lockstep'), words: ['restore', whole, place] }),
    (place: string) => ({ made: join(place, '.lockstep'), words: ['--dir', root, 'salvage', '--to', place] }),
  ]
  let stopped = 0
  for (const [kind, jobOf] of kinds.entries()) {
    const work = async (name: string, from: number) => {
      const place = join(loaded.folder, `${name}-${kind}`)
      mkdirSync(place)
      const numbers = [0, from, from === 0 ? 0 : 2 ** 30, constants.errno.ENOSPC, 0, 1]
      writeFileSync(loaded.state, new Uint8Array(new BigUint64Array(numbers.map(BigInt)).buffer))
      const { made, words } = jobOf(place)
      const ended = await lockstep(words, { env: loaded.env })
      return { calls: Number(readFileSync(loaded.state).readBigUInt64LE()), ended, made, place }
    }
    const { calls, ended } = await work('whole', 0)
    is(ended.status, 0, ended.stdout)
    for (let round = 0; round < rounds; round += 1) {
      const from = 1 + random(calls)
      const { ended, made, place } = await work(`round-${round}`, from)
      const where = `${ended.words.join(' ')}, call ${from} of ${calls}: ${ended.stdout}${ended.stderr}`
      if (ended.status !== 0) ok(codes.includes(String(ended.json.code)), where)
      if (existsSync(made)) {
        // The disk filled up behind the step that puts it in place, so it is whole.
        const target = kind === 0 ? temporaryRoot() : place
        if (kind === 0) is((await lockstep(['restore', made, target])).status, 0, where)
        await endsWithVerify(target)
        continue
      }
      stopped += 1
      is(ended.status === 0, false, where)
      // What could not be removed from a full disk has a name of its own, and the next try removes it.
      ok(
        readdirSync(place).every((name) => /^\.(?:backup-|lockstep-init-)/.test(name)),
        where,
      )
    }
  }
  ok(stopped > 0)
  await endsWithVerify(root)
})

full.run()
